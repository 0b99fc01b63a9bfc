"""What past runs did to one record, and which plans wait with it: plans first, then archives.

A plan says in which batch a key is, so one archive object is opened for each run that has it.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import bson
from sqlalchemy import func, select

from policies.errors import TendError
from worker import objects
from worker.applying import KEYS
from worker.archive import ArchiveStore
from worker.audit.entries import stamp
from worker.database import Database
from worker.explain.address import kind_of
from worker.keys import Keyring, RunKey
from worker.logs import safe_text
from worker.planner import payload_name
from worker.tables import Chunk, Run
from worker.targets.base import ArchiveRef, RecordOutcome
from worker.targets.record_key import same
from worker.waiting import waiting_for

Document = dict[str, Any]
SECONDS = 10.0


@dataclass(frozen=True)
class Store:
    """Where runs, their keys and their archives are."""

    database: Database
    archive: ArchiveStore
    keyring: Keyring


@dataclass
class Past:
    """What was found, newest first, and how far the search went."""

    found: list[Document] = field(default_factory=list)
    searched: int = 0
    oldest_searched: int | None = None
    not_searched: int = 0
    """Older runs that could have been searched, had there been more time."""
    destroyed: int = 0
    """Runs whose plan and archive are past their time: nobody can say what they did to it."""
    unreadable: list[str] = field(default_factory=list)


def search(store: Store, place: str, keys: Sequence[Any], seconds: float = SECONDS) -> Past:
    """Search every run on this collection that still has its key, newest first, until time is up.

    `place` is target and collection as runs name them; `keys` are what the record may be called.
    """
    until = time.monotonic() + seconds
    past = Past()
    needles = [needle for key in keys for needle in _needles(key)]
    numbers, past.destroyed = runs_with_keys(store.database, place), _destroyed(store, place)
    for number in numbers:
        if time.monotonic() > until:
            past.not_searched = len(numbers) - past.searched
            break
        try:
            past.found += _in_run(store, number, keys, needles)
        except TendError as error:
            past.unreadable.append(f"r-{number}: {safe_text(error)}")
        past.searched += 1
        past.oldest_searched = number
    return past


def runs_with_keys(db: Database, place: str) -> list[int]:
    """The runs on this collection whose plan and archive can still be opened, newest first."""
    with db.transaction() as session:
        kept = select(Run.id).where(
            Run.collection == place, Run.digest.is_not(None), Run.key.is_not(None)
        )
        return list(session.scalars(kept.order_by(Run.id.desc())))


def archive_objects(store: Store, number: int) -> Iterator[tuple[RunKey, ArchiveRef]]:
    """Every archive object that a run's changes left, with the key that opens it."""
    with store.database.transaction() as session:
        run = session.get_one(Run, number)
    if run.key is None:
        return
    key = store.keyring.unwrap(run.key)
    for chunk in _chunks(store.database, number, "apply"):
        yield from ((key, ref) for ref in objects.every(chunk))


def _destroyed(store: Store, place: str) -> int:
    with store.database.transaction() as session:
        gone = select(func.count()).where(
            Run.collection == place, Run.digest.is_not(None), Run.key.is_(None)
        )
        return int(session.scalar(gone) or 0)


def _in_run(
    store: Store, number: int, keys: Sequence[Any], needles: Sequence[bytes]
) -> Iterator[Document]:
    with store.database.transaction() as session:
        run = session.get_one(Run, number)
        waits = waiting_for(session, run)
    if run.key is None:
        return  # destroyed since the list was made
    key = store.keyring.unwrap(run.key)
    for chunk in _chunks(store.database, number, "apply"):
        if chunk.payload is None:
            continue
        payload = key.open(chunk.payload, payload_name(run, chunk.number))
        if not any(needle in payload for needle in needles):
            continue
        for position, planned in enumerate(bson.decode(payload, KEYS)["keys"]):
            if any(same(planned, wanted) for wanted in keys):
                outcome = _outcome(store, run, key, chunk, position, planned)
                kind = {"key_type": kind_of(planned), "waiting_for": waits}
                yield {**_of_run(run), **kind, **outcome}


def _outcome(
    store: Store, run: Run, key: RunKey, chunk: Chunk, position: int, planned: Any
) -> Document:
    """What became of a planned record: its batch's archive object knows."""
    found = None
    ref = objects.at(chunk, position)
    if ref is not None:
        records = store.archive.read(key, ref)
        found = next((record for record in records if same(record.key, planned)), None)
    if found is None:
        return {"outcome": "planned", "code": None, "wrote": None, "undo": None}
    return {
        "outcome": _in_a_word(found),
        "code": found.code,
        "wrote": sorted([*(found.written or {}), *found.unset]) or None,
        "undo": _undone(store, run, key, chunk.number, planned) if found.before else None,
    }


def _in_a_word(record: RecordOutcome) -> str:
    """A change is told by its kind, and what was left by why."""
    if record.before is None or record.written is not None:
        return record.outcome
    return "deleted" if record.label is None else "quarantined"


def _undone(store: Store, run: Run, key: RunKey, number: int, planned: Any) -> str | None:
    """`restored` or `conflict`, as the last undo that came as far as this record left it."""
    last = None
    for chunk in _chunks(store.database, run.id, "undo"):
        for ref in objects.every(chunk) if chunk.source == number else ():
            for record in store.archive.read(key, ref):
                if same(record.key, planned):
                    last = record.outcome
    return last


def _chunks(db: Database, run_id: int, direction: str) -> Iterator[Chunk]:
    """One at a time, each in a transaction of its own: decrypting is too slow for one."""
    after = -1
    while True:
        query = (
            select(Chunk)
            .where(Chunk.run_id == run_id, Chunk.direction == direction, Chunk.number > after)
            .order_by(Chunk.number)
            .limit(1)
        )
        with db.transaction() as session:
            chunk = session.scalars(query).first()
        if chunk is None:
            return
        yield chunk
        after = chunk.number


def _of_run(run: Run) -> Document:
    at = run.finished_at or run.applying_at or run.created_at
    return {
        "run": f"r-{run.id}",
        "policy": run.policy,
        "state": str(run.state),
        "at": stamp(at),
        "undo_until": stamp(run.expires_at) if run.expires_at and run.applying_at else None,
    }


def _needles(key: Any) -> Iterator[bytes]:
    """Bytes that a plan with this key must hold; most plans are passed over without decoding."""
    if isinstance(key, list):
        yield b""
    elif isinstance(key, int):
        # A number may be kept as an integer of 4 or 8 bytes, or as a double.
        yield (key & 0xFFFFFFFF).to_bytes(4, "little")
        yield bson.encode({"": float(key)})[6:-1]
    else:
        yield bson.encode({"": key})[6:-1]
