"""The parents of a `not_in`: which keys have none, and whether the collection can be believed."""

from collections.abc import Hashable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from bson import ObjectId
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from policies.selectors import Selector, parent_of
from worker.errors import TargetError
from worker.targets.mongo_restore import value_at
from worker.targets.mongo_values import KINDS, compared, kind_of


@dataclass
class MongoParents:
    """The parent collection as one reader, or one open transaction, sees it."""

    collection: Collection[Any]
    key: str
    session: ClientSession | None = None
    _kinds: dict[str, bool] = field(default_factory=dict)

    def lacks(self, values: Iterable[Any]) -> list[Any]:
        """The values that no parent has as its key, though one has a key of that type.

        If it turns out that a parent is compared in a way unknown here, nothing is said at all.
        """
        wanted = {compared(value): value for value in values if self.has_kind(kind_of(value))}
        known: set[Hashable] = set(wanted)
        for found in self._keys({"$in": list(wanted.values())}) if wanted else ():
            is_known = False
            for value in found:
                key = compared(value) if kind_of(value) else None
                is_known = is_known or key in known
                wanted.pop(key, None)
            if not is_known:
                raise self._unknown_equality()
        return list(wanted.values())

    def lacks_ids(self, ids: Sequence[ObjectId]) -> list[ObjectId]:
        """The same of ObjectIds, which are equal to themselves alone; the key must be `_id`.

        Where parents are about as dense as these keys, to walk past them all is faster than to look
        each of them up.
        """
        if not self.has_kind("objectId"):
            return []
        wanted = [key.binary for key in ids]
        there = self._between(min(wanted), max(wanted), limit=2 * len(ids))
        if there is None:
            return self.lacks(ids)
        return [key for key, binary in zip(ids, wanted, strict=True) if binary not in there]

    def _between(self, low: bytes, high: bytes, limit: int) -> set[bytes] | None:
        """The keys of the parents from one to the other; None if there are as many as `limit`.

        They come as one list, which takes half the time that a document for each does.
        """
        pipeline: list[dict[str, Any]] = [
            {"$match": {"_id": {"$gte": ObjectId(low), "$lte": ObjectId(high)}}},
            {"$limit": limit},
            {"$group": {"_id": None, "keys": {"$push": "$_id"}}},
        ]
        found = self.collection.aggregate(pipeline, hint={"_id": 1}, session=self.session)
        keys: list[ObjectId] = next(found, {"keys": []})["keys"]
        return {key.binary for key in keys} if len(keys) < limit else None

    def _unknown_equality(self) -> TargetError:
        return TargetError(
            f"MongoDB collection {self.collection.full_name} calls keys equal that differ; "
            "Tend cannot tell which records are orphans."
        )

    def has_kind(self, kind: str | None) -> bool:
        """Whether a parent has a key of this type; asked once, while some parent is there."""
        if kind is None:
            return False
        if kind not in self._kinds:
            found = self._keys(KINDS[kind].found_by, limit=1)
            self._kinds[kind] = any(kind_of(value) == kind for keys in found for value in keys)
        return self._kinds[kind]

    def _keys(self, condition: dict[str, Any], limit: int = 0) -> Iterable[Sequence[Any]]:
        """The key of each parent that matches; of a list, each element."""
        fields = {"_id": self.key == "_id", self.key: True}
        records = self.collection.find(
            {self.key: condition}, fields, limit=limit, session=self.session, batch_size=20_000
        )
        for record in records:
            value = value_at(record, self.key)
            yield value if isinstance(value, list) else (value,)


def orphaned_among(
    records: Collection[Any],
    selector: Selector,
    keys: Sequence[Any],
    session: ClientSession | None = None,
) -> list[Any] | None:
    """The foreign keys without a parent that these records have now; None without a `not_in`."""
    parent = parent_of(selector)
    if parent is None:
        return None
    found = records.find(
        {"_id": {"$in": list(keys)}}, {parent.field: 1}, hint={"_id": 1}, session=session
    )
    parents = MongoParents(records.database[parent.parent], parent.key, session)
    return parents.lacks(value_at(record, parent.field) for record in found)
