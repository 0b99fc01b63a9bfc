"""One open MongoDB transaction: read the before-images, archive them, change the records."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from jobs.base import Decide, Item, Outcomes
from policies.selectors import AllOf, Selector
from policies.subjects import spared
from worker.errors import BatchTooLarge
from worker.targets.base import (
    Archive,
    ArchiveRef,
    Images,
    Place,
    RecordOutcome,
    place_of,
    why_missed,
)
from worker.targets.decided import archived_beside, counted
from worker.targets.mongo_collections import check_collection
from worker.targets.mongo_images import sort
from worker.targets.mongo_parents import orphaned_among
from worker.targets.mongo_quarantine import MongoQuarantine
from worker.targets.mongo_restore import (
    MongoJudges,
    collection_of,
    operators,
    put_back,
    require,
)
from worker.targets.mongo_select import BY_KEY, Filter, compile_held, compile_selector
from worker.targets.quarantine import Origin
from worker.targets.record_key import identity


@dataclass
class MongoBatch:
    """What a job or an undo may do inside one transaction; used once."""

    session: ClientSession
    records: Collection[RawBSONDocument]
    as_of: datetime
    max_bytes: int
    archive: Archive
    taken: set[Place]
    held: Selector | None
    """What is under a legal hold: no job can ask for it, and no undo overwrites it."""
    origin: Origin | None = None
    archived: ArchiveRef | None = field(default=None, init=False)

    def change(self, items: Sequence[Item], selector: Selector, decide: Decide) -> Outcomes:
        keys = [item.key for item in items]
        orphaned = orphaned_among(self.records, selector, keys, self.session)
        condition = compile_selector(spared(selector, self.held), self.as_of, orphaned)
        before = self.snapshot(keys, condition)
        missed = self.missed(keys, before, selector)
        images = sort(before, decide, self.origin)
        images = replace(images, others=[*images.others, *missed])
        with archived_beside(self.archive, images) as archived:
            # Most often every key is to be deleted: then no record need be decoded for its key.
            is_whole = len(images.deleted) == len(keys)
            leaving = keys if is_whole else [record["_id"] for record in images.leaving]
            self.delete(leaving, condition)
            MongoQuarantine(self.records, self.session).add(images.quarantined)
            self._update(images.updated, condition)
            self.archived = archived.result()
        return counted(images)

    def restore(self, records: Sequence[RecordOutcome]) -> Outcomes:
        """Children are counted apart; a conflict is one whatever its collection."""
        held = compile_held(self.held, self.as_of)
        judges = MongoJudges(self.records, self.session, frozenset(self.taken), held)
        judged = judges.judge(records)
        self.archived = self.archive(Images(others=judged))
        free = {place_of(record) for record in judged if record.outcome == "restored"}
        for name in dict.fromkeys(record.collection for record in records):
            those = [one for one in records if one.collection == name and place_of(one) in free]
            put_back(collection_of(self.records, name), self.session, those)
        cascade = Counter(name for name, _ in free if name is not None)
        return Outcomes(
            changed=len(free) - cascade.total(),
            changed_since=len(judged) - len(free),
            cascade=dict(cascade),
        )

    def _find(
        self, condition: Filter, fields: Filter | None = None, batch_size: int = 5000
    ) -> Iterator[RawBSONDocument]:
        return iter(
            self.records.find(
                condition, fields, session=self.session, hint=BY_KEY, batch_size=batch_size
            )
        )

    def snapshot(self, keys: list[Any], condition: Filter) -> list[RawBSONDocument]:
        before: list[RawBSONDocument] = []
        size = 0
        wanted: Filter = {"$and": [{"_id": {"$in": keys}}, condition]}
        for record in self._find(wanted, batch_size=len(keys) + 1):
            size += len(record.raw)
            if size > self.max_bytes and len(keys) > 1:
                raise BatchTooLarge(f"{len(keys)} records exceed {self.max_bytes} bytes.")
            before.append(record)
        return before

    def missed(
        self, keys: list[Any], before: list[RawBSONDocument], selector: Selector
    ) -> list[RecordOutcome]:
        if len(before) == len(keys):
            return []
        matched = {identity(record["_id"]) for record in before}
        rest = [key for key in keys if identity(key) not in matched]
        present = self._which(rest)
        if len(rest) == len(keys) and not present:  # not one is there: is the collection?
            check_collection(self.records.database, self.records.name, self.records.full_name)
        held = set[bytes]()
        if self.held is not None:
            wanted = AllOf(all=(selector, self.held))
            orphaned = orphaned_among(self.records, wanted, rest, self.session)
            held = self._which(rest, compile_selector(wanted, self.as_of, orphaned))
        return [RecordOutcome(key, why_missed(identity(key), present, held)) for key in rest]

    def _which(self, keys: list[Any], condition: Filter | None = None) -> set[bytes]:
        """Those of these keys that are there, and match."""
        wanted: Filter = {"$and": [{"_id": {"$in": keys}}, condition or {}]}
        return {identity(found["_id"]) for found in self._find(wanted, {"_id": 1})}

    def delete(self, keys: list[Any], condition: Filter, collection: str | None = None) -> None:
        """Delete these records, every one of which was seen and archived in this transaction."""
        if not keys:
            return
        result = collection_of(self.records, collection).delete_many(
            {"$and": [{"_id": {"$in": keys}}, condition]}, session=self.session, hint=BY_KEY
        )
        require(result.deleted_count, len(keys))

    def _update(
        self, updates: Sequence[tuple[Any, dict[str, Any], tuple[str, ...]]], condition: Filter
    ) -> None:
        if not updates:
            return
        operations = [
            UpdateOne(
                {"$and": [{"_id": before["_id"]}, condition]},
                operators(written, unset),
                hint=BY_KEY,
            )
            for before, written, unset in updates
        ]
        result = self.records.bulk_write(operations, ordered=False, session=self.session)
        require(result.matched_count, len(updates))
