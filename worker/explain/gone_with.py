"""Records that went with another, as a session does with its account: the archives name them.

No plan holds their keys, so every archive object of such a run is read, as far as time allows.
"""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from worker import objects
from worker.explain.store import Store, chunks, name_of
from worker.keys import RunKey
from worker.masking import mask
from worker.registry import frozen_policy, job_of
from worker.tables import Run
from worker.targets.base import ArchiveRef, RecordOutcome
from worker.targets.mongo_restore import value_at
from worker.targets.record_key import same

Document = dict[str, Any]
_ENDS = {"changed": "deleted", "restored": "put_back", "conflict": "deleted"}


@dataclass
class _Child:
    """One record, the chunk that it went in, and what became of it last."""

    key: Any
    chunk: int
    before: Any
    outcome: str


def children(
    store: Store, run: Run, run_key: RunKey, place: str, keys: Sequence[Any], until: float
) -> tuple[list[tuple[Any, Document]], bool]:
    """The key of each such record with what became of it, and whether all was read in time."""
    name = name_of(run, place)
    found: list[_Child] = []
    for chunk in chunks(store.database, run.id, "apply"):
        for ref in objects.every(chunk) if name in chunk.cascade else ():
            if time.monotonic() > until:
                return _told(store, run, run_key, place, found), False
            for record in _named(store, run_key, ref, name, keys):
                _note(found, chunk.number, record)
    return _told(store, run, run_key, place, found), True


def undone(
    store: Store, run: Run, run_key: RunKey, number: int, collection: str | None, key: Any
) -> str | None:
    """`restored` or `conflict`, as the last undo that came as far as this record left it."""
    last = None
    for chunk in chunks(store.database, run.id, "undo"):
        for ref in objects.every(chunk) if chunk.source == number else ():
            for record in _named(store, run_key, ref, collection, [key]):
                last = record.outcome
    return last


def _named(
    store: Store, run_key: RunKey, ref: ArchiveRef, collection: str | None, keys: Sequence[Any]
) -> list[RecordOutcome]:
    return [
        record
        for record in store.archive.read(run_key, ref)
        if record.collection == collection and any(same(record.key, key) for key in keys)
    ]


def _note(found: list[_Child], chunk: int, record: RecordOutcome) -> None:
    """It may have been put back when its account came back to life, and gone again later."""
    outcome = _ENDS[record.outcome]
    for child in found:
        if same(child.key, record.key):
            child.outcome = outcome
            return
    found.append(_Child(record.key, chunk, record.before, outcome))


def _told(
    store: Store, run: Run, run_key: RunKey, place: str, found: Sequence[_Child]
) -> list[tuple[Any, Document]]:
    name = name_of(run, place)
    return [
        (
            child.key,
            {
                "outcome": child.outcome,
                "code": None,
                "wrote": None,
                "undo": undone(store, run, run_key, child.chunk, name, child.key),
                "with": f"{run.collection}/{_owner(run, name, child.before)}",
            },
        )
        for child in found
    ]


def _owner(run: Run, name: str | None, before: Any) -> Any:
    """The key, masked, of the record that it belonged to."""
    policy = frozen_policy(run.policy_text)
    fields = [one.key for one in job_of(policy).relations(policy) if one.collection == name]
    return mask("_id", value_at(before, fields[0]))
