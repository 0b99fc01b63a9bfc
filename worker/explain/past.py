"""What past runs did to one record, and which plans wait with it: plans first, then archives.

A plan says in which batch a key is, so one archive object is opened for each run that has it. Of
what went with a planned record, the archives alone know.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import bson

from policies.errors import TendError
from worker import objects
from worker.applying import KEYS
from worker.audit.entries import stamp
from worker.explain.address import kind_of
from worker.explain.gone_with import children, undone
from worker.explain.store import Store, chunks, destroyed, name_of, runs_with_keys
from worker.keys import RunKey
from worker.logs import safe_text
from worker.planner import payload_name
from worker.tables import Chunk, Run
from worker.targets.base import RecordOutcome
from worker.targets.record_key import same
from worker.waiting import waiting_for

Document = dict[str, Any]
SECONDS = 10.0


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
    """Search every run that wrote here and still has its key, newest first, until time is up.

    `place` is target and collection as runs name them; `keys` are what the record may be called.
    """
    until = time.monotonic() + seconds
    past = Past(destroyed=destroyed(store.database, place))
    needles = [needle for key in keys for needle in _needles(key)]
    numbers = runs_with_keys(store.database, place)
    for number in numbers:
        if time.monotonic() > until:
            break
        try:
            found, is_whole = _in_run(store, number, place, keys, needles, until)
        except TendError as error:
            found, is_whole = [], True
            past.unreadable.append(f"r-{number}: {safe_text(error)}")
        past.found += found
        if not is_whole:
            break
        past.searched += 1
        past.oldest_searched = number
    past.not_searched = len(numbers) - past.searched
    return past


def _in_run(
    store: Store,
    number: int,
    place: str,
    keys: Sequence[Any],
    needles: Sequence[bytes],
    until: float,
) -> tuple[list[Document], bool]:
    """What the run did to the record, and whether all of it was searched."""
    with store.database.transaction() as session:
        run = session.get_one(Run, number)
        waits = waiting_for(session, run)
    if run.key is None:
        return [], True  # destroyed since the list was made
    key = store.keyring.unwrap(run.key)
    if name_of(run, place) is None:
        found, is_whole = list(_planned(store, run, key, keys, needles)), True
    else:
        found, is_whole = children(store, run, key, place, keys, until)
    told = [
        {**_of_run(run), "key_type": kind_of(named), "waiting_for": waits, **outcome}
        for named, outcome in found
    ]
    return told, is_whole


def _planned(
    store: Store, run: Run, key: RunKey, keys: Sequence[Any], needles: Sequence[bytes]
) -> Iterator[tuple[Any, Document]]:
    """The key of each such record in the run's plan, with what became of it."""
    for chunk in chunks(store.database, run.id, "apply"):
        if chunk.payload is None:
            continue
        payload = key.open(chunk.payload, payload_name(run, chunk.number))
        if not any(needle in payload for needle in needles):
            continue
        for position, planned in enumerate(bson.decode(payload, KEYS)["keys"]):
            if any(same(planned, wanted) for wanted in keys):
                yield planned, _outcome(store, run, key, chunk, position, planned)


def _outcome(
    store: Store, run: Run, key: RunKey, chunk: Chunk, position: int, planned: Any
) -> Document:
    """What became of a planned record: its batch's archive object knows."""
    found = None
    ref = objects.at(chunk, position)
    if ref is not None:
        records = (one for one in store.archive.read(key, ref) if one.collection is None)
        found = next((record for record in records if same(record.key, planned)), None)
    if found is None:
        return {"outcome": "planned", "code": None, "wrote": None, "undo": None, "with": None}
    return {
        "outcome": _in_a_word(found),
        "code": found.code,
        "wrote": sorted([*(found.written or {}), *found.unset]) or None,
        "undo": undone(store, run, key, chunk.number, None, planned) if found.before else None,
        "with": None,
    }


def _in_a_word(record: RecordOutcome) -> str:
    """A change is told by its kind, and what was left by why."""
    if record.before is None or record.written is not None:
        return record.outcome
    return "deleted" if record.label is None else "quarantined"


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
