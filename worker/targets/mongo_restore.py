"""Putting records back: what an undo judges, and what it writes.

The judgement only reads. A preview asks for it through a handle that cannot write, an undo inside
its transaction: so both say the same.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo import ReplaceOne, UpdateOne
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import BulkWriteError

from worker.errors import TargetConflict
from worker.targets.base import Place, RecordOutcome, place_of
from worker.targets.mongo_quarantine import MongoQuarantine
from worker.targets.mongo_select import BY_KEY, Filter
from worker.targets.mongo_unique import MISSING, UniqueValues, unique_indexes
from worker.targets.record_key import identity

_DUPLICATE_KEY = 11000


class KeyTaken(Exception):
    """Another record holds a unique value of the one to put back; the transaction is gone."""

    def __init__(self, place: Place) -> None:
        super().__init__("a unique index holds this record's value")
        self.place = place


@dataclass
class MongoJudge:
    """Whether records can be put back; remembers the values that those before will take."""

    records: Collection[RawBSONDocument]
    session: ClientSession | None = None
    taken: frozenset[bytes] = frozenset()
    """Keys of which a write has revealed that a unique value is taken."""
    held: Filter | None = None
    """What is under a legal hold: it may come back, and is never overwritten."""
    _uniques: UniqueValues = field(init=False)

    def __post_init__(self) -> None:
        self._uniques = UniqueValues(self.records, self.session, unique_indexes(self.records))

    def judge(self, records: Sequence[RecordOutcome]) -> list[RecordOutcome]:
        """See `Judge.judge`."""
        changed = {identity(record.key): record for record in records}
        present = {
            identity(found["_id"]): found
            for found in self.records.find(
                {"_id": {"$in": [record.key for record in records]}},
                session=self.session,
                hint=BY_KEY,
                batch_size=5000,
            )
        }
        copies = MongoQuarantine(self.records, self.session).conflicts(records)
        codes = {
            key: copies.get(key) or _conflict(record, present.get(key))
            for key, record in changed.items()
        }
        codes.update(dict.fromkeys(self._held(changed, codes), "held"))
        free = [key for key, code in codes.items() if code is None and key not in self.taken]
        taken = self._uniques.taken(
            [(key, self._after(changed[key], present.get(key))) for key in free],
            {key: _names(changed[key]) for key in free if key in present},
        )
        for key in taken | self.taken & codes.keys():
            codes[key] = "key_taken"
        return [
            RecordOutcome(
                changed[key].key,
                "conflict" if code else "restored",
                code,
                collection=changed[key].collection,
            )
            for key, code in codes.items()
        ]

    def _held(
        self, changed: Mapping[bytes, RecordOutcome], codes: Mapping[bytes, str | None]
    ) -> Iterator[bytes]:
        """Records that would be overwritten, and are under a hold by now."""
        if self.held is None:
            return
        keys = [
            record.key
            for key, record in changed.items()
            if record.written is not None and codes[key] is None
        ]
        condition: Filter = {"$and": [{"_id": {"$in": keys}}, self.held]}
        for found in self.records.find(condition, {"_id": 1}, session=self.session, hint=BY_KEY):
            yield identity(found["_id"])

    def _after(self, record: RecordOutcome, present: RawBSONDocument | None) -> Any:
        """The record as it would be."""
        if present is None or record.written is None:
            return record.before
        options = self.records.codec_options.with_options(document_class=dict[str, Any])
        after = bson.decode(present.raw, options)
        for name in _names(record):
            _set(after, name.split("."), value_at(record.before, name))
        return after


@dataclass
class MongoJudges:
    """A judge for each collection: the policy's own, and those whose records went with its."""

    records: Collection[RawBSONDocument]
    session: ClientSession | None = None
    taken: frozenset[Place] = frozenset()
    held: Filter | None = None
    _judges: dict[str | None, MongoJudge] = field(default_factory=dict, init=False)

    def judge(self, records: Sequence[RecordOutcome]) -> list[RecordOutcome]:
        """See `Judge.judge`."""
        names = dict.fromkeys(record.collection for record in records)
        return [
            judged
            for name in names
            for judged in self._of(name).judge([one for one in records if one.collection == name])
        ]

    def _of(self, name: str | None) -> MongoJudge:
        if name not in self._judges:
            taken = frozenset(key for collection, key in self.taken if collection == name)
            records = collection_of(self.records, name)
            held = self.held if name is None else None  # what comes back overwrites nothing
            self._judges[name] = MongoJudge(records, self.session, taken, held)
        return self._judges[name]


def collection_of(
    records: Collection[RawBSONDocument], name: str | None
) -> Collection[RawBSONDocument]:
    """A collection beside the policy's own, or that one itself."""
    return records if name is None else records.database[name]


def put_back(
    records: Collection[RawBSONDocument],
    session: ClientSession,
    changed: Sequence[RecordOutcome],
) -> None:
    """Write what was judged free; raises `KeyTaken` if a unique index says otherwise."""
    deleted = [record for record in changed if record.written is None]
    written = [record for record in changed if record.written is not None]
    whole = _untouched(records, session, written)
    try:
        if deleted:
            failing = deleted
            records.insert_many([record.before for record in deleted], session=session)
            moved = [record for record in deleted if record.label]
            require(MongoQuarantine(records, session).remove(moved), len(moved))
        if written:
            failing = written
            reversals = [
                ReplaceOne({"_id": record.key}, record.before, hint=BY_KEY)
                if identity(record.key) in whole
                else UpdateOne({"_id": record.key}, _reversal(record), hint=BY_KEY)
                for record in written
            ]
            done = records.bulk_write(reversals, session=session).matched_count
            require(done, len(written))
    except BulkWriteError as error:
        first = error.details["writeErrors"][0]
        if first["code"] != _DUPLICATE_KEY:
            raise
        raise KeyTaken(place_of(failing[first["index"]])) from None


def _conflict(record: RecordOutcome, present: RawBSONDocument | None) -> str | None:
    """Why a record cannot be put back, or None: a field, once written, must still be as written."""
    if record.written is None:
        return None if present is None else "key_taken"
    if present is None:
        return "gone"
    as_written = all(
        _same(value_at(present, name), value) for name, value in record.written.items()
    )
    is_unset = all(value_at(present, name) is MISSING for name in record.unset)
    return None if as_written and is_unset else "changed_since"


def _names(record: RecordOutcome) -> tuple[str, ...]:
    """The fields that Tend changed."""
    return (*(record.written or {}), *record.unset)


def _untouched(
    records: Collection[RawBSONDocument], session: ClientSession, changed: Sequence[RecordOutcome]
) -> set[bytes]:
    """Of the records with a removed field, those in which nobody has changed another one since.

    A field that is set again becomes the last one; there, the whole before-image does better.
    """
    unset = {identity(record.key): record for record in changed if record.unset}
    if not unset:
        return set()
    keys = {"_id": {"$in": [record.key for record in unset.values()]}}
    return {
        identity(found["_id"])
        for found in records.find(keys, session=session, hint=BY_KEY)
        for record in [unset[identity(found["_id"])]]
        if _without(found, _names(record)) == _without(record.before, _names(record))
    }


def _without(record: Mapping[str, Any], names: Iterable[str]) -> bytes:
    """The document's bytes without these fields; those of a nested one as if it stood apart."""
    rest = dict(record)
    for name in names:
        first, _, inner = name.partition(".")
        if not inner:
            rest.pop(first, None)
        elif isinstance(rest.get(first), Mapping):
            rest[first] = RawBSONDocument(_without(rest[first], [inner]))
    return bson.encode(rest)


def _reversal(record: RecordOutcome) -> Filter:
    was = {name: value_at(record.before, name) for name in _names(record)}
    absent = [name for name, value in was.items() if value is MISSING]
    return operators({name: value for name, value in was.items() if value is not MISSING}, absent)


def operators(written: Mapping[str, Any], unset: Iterable[str]) -> Filter:
    """The update that sets and removes these fields."""
    removed = dict.fromkeys(unset, "")
    return {
        **({"$set": dict(written)} if written else {}),
        **({"$unset": removed} if removed else {}),
    }


def value_at(record: Any, name: str) -> Any:
    """The value at a dotted name, or `MISSING`."""
    for part in name.split("."):
        if not hasattr(record, "get"):
            return MISSING
        record = record.get(part, MISSING)
    return record


def _set(record: dict[str, Any], parts: Sequence[str], value: Any) -> None:
    *way, last = parts
    for part in way:
        record = record.setdefault(part, {})
    if value is MISSING:
        record.pop(last, None)
    else:
        record[last] = value


def _same(left: Any, right: Any) -> bool:
    return left is not MISSING and identity(left) == identity(right)


def require(done: int, expected: int) -> None:
    """In one snapshot the counts cannot differ; if they do, the transaction must not commit."""
    if done != expected:
        raise TargetConflict(f"{expected} records were to change and {done} did; nothing was kept.")
