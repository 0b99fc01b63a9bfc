"""One open MongoDB transaction: read the before-images, archive them, change the records."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from jobs.base import Decide, Delete, Item, Outcomes, Update
from policies.selectors import Selector
from worker.errors import BatchTooLarge, TargetConflict
from worker.targets.base import Archive, ArchiveRef, Images, RecordOutcome
from worker.targets.mongo_select import Filter, compile_selector

# Without it the planner picks the date index and rescans it: 20 times slower (DESIGN.md).
BY_KEY = {"_id": 1}
_DUPLICATE_KEY = 11000


class KeyTaken(Exception):
    """Another record holds a unique value of the one to put back; the transaction is gone."""

    def __init__(self, identity: bytes) -> None:
        super().__init__("a unique index holds this record's value")
        self.identity = identity


@dataclass
class MongoBatch:
    """What a job or an undo may do inside one transaction; used once."""

    session: ClientSession
    records: Collection[RawBSONDocument]
    as_of: datetime
    max_bytes: int
    archive: Archive
    taken: set[bytes]
    archived: ArchiveRef | None = field(default=None, init=False)

    def change(self, items: Sequence[Item], selector: Selector, decide: Decide) -> Outcomes:
        condition = compile_selector(selector, self.as_of)
        keys = [item.key for item in items]
        before = self._snapshot(keys, condition)
        missed = self._missed(keys, before)
        images, failed = _sorted(before, decide)
        # The archive is written beside the change, for nothing is kept before the commit; its
        # result is asked for before the caller can commit, so no change outlives a lost image.
        with ThreadPoolExecutor(1) as beside:
            archiving = beside.submit(self.archive, replace(images, others=[*failed, *missed]))
            # Most often every key is to be deleted: then no record need be decoded for its key.
            is_whole = len(images.deleted) == len(keys)
            self._delete(keys if is_whole else [r["_id"] for r in images.deleted], condition)
            self._update(images.updated, condition)
            self.archived = archiving.result()
        gone = sum(outcome.outcome == "gone" for outcome in missed)
        return Outcomes(
            changed=len(images.deleted) + len(images.updated),
            failed=len(failed),
            gone=gone,
            changed_since=len(missed) - gone,
        )

    def restore(self, records: Sequence[RecordOutcome]) -> Outcomes:
        images = {_identity(record.key): record for record in records}
        present = {
            _identity(found["_id"]): found
            for found in self._find({"_id": {"$in": [record.key for record in records]}})
        }
        judged = [
            (record, "key_taken" if key in self.taken else _conflict(record, present.get(key)))
            for key, record in images.items()
        ]
        others = [
            RecordOutcome(record.key, "conflict" if code else "restored", code)
            for record, code in judged
        ]
        self.archived = self.archive(Images(others=others))
        free = [record for record, code in judged if code is None]
        self._put_back(free)
        conflicts = len(judged) - len(free)
        return Outcomes(changed=len(free), changed_since=conflicts)

    def _find(self, condition: Filter, fields: Filter | None = None) -> Iterator[RawBSONDocument]:
        return iter(
            self.records.find(condition, fields, session=self.session, hint=BY_KEY, batch_size=5000)
        )

    def _snapshot(self, keys: list[Any], condition: Filter) -> list[RawBSONDocument]:
        before: list[RawBSONDocument] = []
        size = 0
        for record in self._find({"$and": [{"_id": {"$in": keys}}, condition]}):
            before.append(record)
            size += len(record.raw)
            if size > self.max_bytes and len(keys) > 1:
                raise BatchTooLarge(f"{len(keys)} records exceed {self.max_bytes} bytes.")
        return before

    def _missed(self, keys: list[Any], before: list[RawBSONDocument]) -> list[RecordOutcome]:
        if len(before) == len(keys):
            return []
        matched = {_identity(record["_id"]) for record in before}
        rest = [key for key in keys if _identity(key) not in matched]
        present = {
            _identity(found["_id"]) for found in self._find({"_id": {"$in": rest}}, {"_id": 1})
        }
        return [
            RecordOutcome(key, "changed_since" if _identity(key) in present else "gone")
            for key in rest
        ]

    def _delete(self, keys: list[Any], condition: Filter) -> None:
        if not keys:
            return
        result = self.records.delete_many(
            {"$and": [{"_id": {"$in": keys}}, condition]}, session=self.session, hint=BY_KEY
        )
        _require(result.deleted_count, len(keys))

    def _update(self, updates: Sequence[tuple[Any, Any]], condition: Filter) -> None:
        if not updates:
            return
        operations = [
            UpdateOne({"$and": [{"_id": before["_id"]}, condition]}, {"$set": written}, hint=BY_KEY)
            for before, written in updates
        ]
        result = self.records.bulk_write(operations, ordered=False, session=self.session)
        _require(result.matched_count, len(updates))

    def _put_back(self, records: list[RecordOutcome]) -> None:
        deleted = [record for record in records if record.written is None]
        if deleted:
            self._insert(deleted)
        operations = [
            UpdateOne({"_id": record.key}, _reversal(record), hint=BY_KEY)
            for record in records
            if record.written is not None
        ]
        if operations:
            result = self.records.bulk_write(operations, ordered=False, session=self.session)
            _require(result.matched_count, len(operations))

    def _insert(self, records: list[RecordOutcome]) -> None:
        try:
            self.records.insert_many([record.before for record in records], session=self.session)
        except BulkWriteError as error:
            first = error.details["writeErrors"][0]
            if first["code"] != _DUPLICATE_KEY:
                raise
            raise KeyTaken(_identity(records[first["index"]].key)) from None


def _sorted(
    before: Sequence[RawBSONDocument], decide: Decide
) -> tuple[Images, list[RecordOutcome]]:
    """What the job decided: images of what it deletes and updates, and what it leaves alone."""
    deleted: list[RawBSONDocument] = []
    updated: list[tuple[RawBSONDocument, dict[str, Any]]] = []
    failed: list[RecordOutcome] = []
    for record in before:
        change = decide(record)
        if isinstance(change, Delete):
            deleted.append(record)
        elif isinstance(change, Update):
            updated.append((record, dict(change.fields)))
        else:
            failed.append(RecordOutcome(record["_id"], "failed", change.code))
    return Images(deleted=deleted, updated=updated), failed


def _conflict(record: RecordOutcome, present: RawBSONDocument | None) -> str | None:
    """Why a record cannot be put back, or None: a field, once written, must still be as written."""
    if record.written is None:
        return None if present is None else "key_taken"
    if present is None:
        return "gone"
    as_written = all(
        _same(value_at(present, name), value) for name, value in record.written.items()
    )
    return None if as_written else "changed_since"


def _reversal(record: RecordOutcome) -> Filter:
    was = {name: value_at(record.before, name) for name in record.written or {}}
    absent = {name: "" for name, value in was.items() if value is MISSING}
    present = {name: value for name, value in was.items() if value is not MISSING}
    return {
        **({"$set": present} if present else {}),
        **({"$unset": absent} if absent else {}),
    }


MISSING = object()


def value_at(record: Any, name: str) -> Any:
    """The value at a dotted name, or `MISSING`."""
    for part in name.split("."):
        if not hasattr(record, "get"):
            return MISSING
        record = record.get(part, MISSING)
    return record


def _identity(key: Any) -> bytes:
    return bson.encode({"": key})


def _same(left: Any, right: Any) -> bool:
    return left is not MISSING and _identity(left) == _identity(right)


def _require(done: int, expected: int) -> None:
    """In one snapshot the counts cannot differ; if they do, the transaction must not commit."""
    if done != expected:
        raise TargetConflict(f"{expected} records were to change and {done} did; nothing was kept.")
