"""The records of other collections that belong to a record, found by an index on their key.

A key is looked for in both of its spellings: an ObjectId, and the text of one. MongoDB takes
numbers of different types for equal, and so does this.
"""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from typing import Any, NamedTuple

import bson
from bson import Decimal128, ObjectId
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.database import Database

from jobs.base import Newest, Relation
from worker.errors import CollectionMissing, IndexMissing, TargetError

# Whatever sorts before a date and is no date; an array counts by its elements.
_NO_DATE = ("string", "number", "object", "binData", "objectId", "bool")
_UNFIT = ("sparse", "partialFilterExpression", "collation", "hidden")
Pattern = Mapping[str, Any]


class _Index(NamedTuple):
    name: str
    sides: Mapping[str, int]


@dataclass
class MongoRelated:
    """Questions about relations, in one database and perhaps in one transaction."""

    database: Database[Any]
    name: str
    session: ClientSession | None = None
    _indexes: dict[Relation, _Index] = field(default_factory=dict, init=False)

    def check_related(self, relations: Sequence[Relation]) -> None:
        """Raise unless each collection is there and has an index that answers for its relation."""
        missing = [one for one in relations if self._find_index(one) is None]
        dated = {(one.collection, one.key) for one in missing if one.dated}
        needed = [one for one in missing if one.dated or (one.collection, one.key) not in dated]
        if needed:
            commands = " ".join(dict.fromkeys(map(_command, needed)))
            raise IndexMissing(
                f"{self.name} has no index that finds what belongs to a record; create it with "
                f"{commands}"
            )

    def newest(self, relation: Relation, keys: Sequence[Any]) -> list[Newest]:
        """See `Related.newest`. One seek in the index for each key, however many records."""
        if relation.dated is None:
            raise AssertionError(f"{relation.collection}: no date says which is the newest")
        dated = relation.dated
        latest: list[datetime | None] = [None] * len(keys)
        certain = [True] * len(keys)
        for place, value in self._grouped(relation, keys, {"$first": f"${dated}"}):
            if isinstance(value, datetime):
                latest[place] = max(value, latest[place] or value)
            elif value is not None:
                certain[place] = False
        suspects = {dated: {"$type": list(_NO_DATE)}}
        for place, _ in self._grouped(relation, keys, {"$sum": 1}, suspects):
            certain[place] = False
        return [Newest(*pair) for pair in zip(latest, certain, strict=True)]

    def match(self, relation: Relation, keys: Sequence[Any], condition: Pattern) -> list[bool]:
        """See `Related.match`; the condition is compiled."""
        found = [False] * len(keys)
        for place, _ in self._grouped(relation, keys, {"$sum": 1}, condition):
            found[place] = True
        return found

    def count_related(self, relation: Relation, keys: Sequence[Any]) -> list[int]:
        """See `RelatedReader.count_related`."""
        counts = [0] * len(keys)
        for place, count in self._grouped(relation, keys, {"$sum": 1}):
            counts[place] += count
        return counts

    def children(self, relation: Relation, key: Any, most: int) -> Iterator[RawBSONDocument]:
        """At most so many whole records that belong to this key and to no other."""
        records: Collection[Any] = self.database[relation.collection]
        return iter(
            records.find(
                {relation.key: {"$in": spellings(key), "$not": {"$type": "array"}}},
                session=self.session,
                hint=self._index(relation).name,
                limit=most,
                batch_size=5000,
            )
        )

    def _grouped(
        self,
        relation: Relation,
        keys: Sequence[Any],
        value: Pattern,
        condition: Pattern | None = None,
    ) -> Iterator[tuple[int, Any]]:
        """A value for each key that any record has: the place of the key, and the value."""
        hint, sides = self._index(relation)
        places = {_sameness(one): at for at, key in enumerate(keys) for one in spellings(key)}
        asked = [one for key in keys for one in spellings(key)]
        stages: list[Pattern] = [
            {"$match": {"$and": [{relation.key: {"$in": asked}}, condition or {}]}},
            {"$group": {"_id": f"${relation.key}", "value": value}},
        ]
        if relation.dated is not None and "$first" in value:
            # The index, walked so that the newest comes first, leaps from key to key.
            way = -sides[relation.dated]
            stages.insert(1, {"$sort": {name: way * side for name, side in sides.items()}})
        records: Collection[Any] = self.database[relation.collection]
        for found in records.aggregate(stages, session=self.session, hint=hint):
            for owner in _owners(found["_id"]):
                if (place := places.get(_sameness(owner))) is not None:
                    yield place, found.get("value")
                elif not isinstance(found["_id"], list):
                    raise TargetError(
                        f"{self.name}, collection {relation.collection}: {relation.key} holds a "
                        "key that cannot be told from others; nothing was decided."
                    )

    def _index(self, relation: Relation) -> _Index:
        if relation not in self._indexes:
            found = self._find_index(relation)
            if found is None:
                self.check_related([relation])
                raise AssertionError("this index was made in this very moment; ask again")
            self._indexes[relation] = found
        return self._indexes[relation]

    def _find_index(self, relation: Relation) -> _Index | None:
        """An index that begins with the relation's key, and then its date if it has one."""
        names = (relation.key, relation.dated) if relation.dated else (relation.key,)
        listed = list(self.database[relation.collection].list_indexes())
        if not listed:
            raise CollectionMissing(
                f"{self.name}, collection {relation.collection} does not exist; check the policy "
                "and the database in TEND_MONGO_URL."
            )
        for index in listed:
            sides = dict(index["key"].items())
            is_plain = all(side in (1, -1) for side in sides.values())
            if is_plain and tuple(sides)[: len(names)] == names and not _is_unfit(index):
                return _Index(str(index["name"]), {name: int(side) for name, side in sides.items()})
        return None


def spellings(key: Any) -> list[Any]:
    """The ways in which other records may name this key; nothing is named by no key."""
    if key is None:
        return []
    if isinstance(key, ObjectId):
        return [key, str(key)]
    if isinstance(key, str) and ObjectId.is_valid(key) and str(ObjectId(key)) == key:
        return [key, ObjectId(key)]
    return [key]


def _is_unfit(index: Pattern) -> bool:
    """An index that leaves records out, or compares as no query of ours does."""
    return any(index.get(name) for name in _UNFIT)


def _owners(found: Any) -> Iterable[Any]:
    return found if isinstance(found, list) else [found]


def _sameness(key: Any) -> Any:
    """Equal for keys that MongoDB takes for equal."""
    if isinstance(key, Decimal128):
        return key.to_decimal()
    if isinstance(key, int | float) and not isinstance(key, bool):
        return Decimal(key)
    return bson.encode({"": key})


def _command(relation: Relation) -> str:
    keys = {relation.key: 1, **({relation.dated: 1} if relation.dated else {})}
    return f"db.{relation.collection}.createIndex({json.dumps(keys)});"
