"""Finding single records of a run by the key that a person typed."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import bson
from bson import json_util
from bson.errors import BSONError
from sqlalchemy import select
from sqlalchemy.orm import Session

from worker import objects, runs, settling
from worker.applying import KEYS
from worker.archive import ArchiveStore
from worker.database import Database
from worker.errors import ArchiveExpired, ForbiddenArrow, UnknownRecord, UsageError
from worker.explain.address import readings
from worker.keys import Keyring, RunKey
from worker.masking import mask
from worker.planner import payload_name
from worker.tables import Chunk, Run
from worker.targets.base import ArchiveRef
from worker.targets.record_key import identity, same
from worker.undoing import Picked, payload


@dataclass(frozen=True)
class Selection:
    """Single records, as they lay when they were looked up."""

    picked: tuple[Picked, ...]
    undo_chunks: int
    """How many there were; if there are more now, somebody else has taken something back."""


def pick(
    database: Database, archive: ArchiveStore, keyring: Keyring, run_id: int, texts: Sequence[str]
) -> Selection:
    """The records with these keys; all of them, or an error and none.

    Raises `UnknownRecord` for one that the run did not change, and `ForbiddenArrow` for one that
    is back already.
    """
    with database.transaction() as session:
        run = runs.get(session, run_id)
        undos = _undos(session, run)
        chunks = session.scalars(
            select(Chunk)
            .where(Chunk.run_id == run_id, Chunk.direction == "apply", Chunk.payload.is_not(None))
            .order_by(Chunk.number)
        ).all()
    if run.key is None:
        raise ArchiveExpired(
            f"The archive of r-{run.id} expired and was destroyed; it cannot be taken back."
        )
    if any(chunk.children for chunk in chunks):
        raise ForbiddenArrow(
            f"r-{run.id} deleted records with all that belonged to them, which is spread over its "
            f"archive; take it back as a whole with `tend undo r-{run.id}`."
        )
    key = keyring.unwrap(run.key)
    picked = [_pick(archive, key, run, chunks, undos, text) for text in texts]
    if len({one.identity for one in picked}) < len(picked):
        raise UsageError("--only names one record twice.")
    return Selection(tuple(picked), len(undos))


def _undos(session: Session, run: Run) -> list[Chunk]:
    if settling.unsettled(session, run.id):
        raise ForbiddenArrow(
            f"The fences of r-{run.id} are not closed yet; a worker closes them, then try again."
        )
    undos = session.scalars(
        select(Chunk).where(Chunk.run_id == run.id, Chunk.direction == "undo")
    ).all()
    if any(chunk.payload is None for chunk in undos):
        raise ForbiddenArrow(
            f"r-{run.id} was being taken back as a whole; `tend undo r-{run.id}` goes on with that."
        )
    return list(undos)


def _pick(
    archive: ArchiveStore,
    key: RunKey,
    run: Run,
    chunks: Sequence[Chunk],
    undos: Sequence[Chunk],
    text: str,
) -> Picked:
    meant = meanings(text)
    found = [
        (chunk, position, each)
        for chunk in chunks
        for position, each in enumerate(_keys(key, run, chunk))
        if any(same(each, one) for one in meant)
    ]
    if not found:
        raise UnknownRecord(
            f"r-{run.id} planned no record with the key {mask('_id', text)}; `tend records "
            f"r-{run.id}` lists them."
        )
    if len({identity(each) for _, _, each in found}) > 1:
        raise UsageError(
            f"--only {mask('_id', text)} means more than one record of r-{run.id}; write the key "
            'as extended JSON, such as "\\"7\\"" for text or {"$numberInt": "7"}.'
        )
    chunk, position, whole = found[0]
    name, ref = identity(whole), objects.at(chunk, position)
    became = _became(archive, key, ref, name) if ref is not None else None
    if ref is None or became != "changed":
        raise UnknownRecord(
            f"r-{run.id} did not change the record {mask('_id', whole)} "
            f"({became or 'not_reached'}), so there is nothing to take back."
        )
    again = _left_in_conflict(archive, key, run, undos, whole)
    sealed = payload(key, run, chunk.number, ref, name)
    return Picked(chunk.number, ref, name, again, sealed)


def meanings(text: str) -> list[Any]:
    """What a typed key can mean: an ObjectId, a whole number, text; or exactly one in JSON."""
    if text[:1] not in {'"', "{", "["}:
        return readings(text)
    try:
        return [json_util.loads(text)]
    except (ValueError, TypeError, BSONError) as error:
        raise UsageError("--only is no key in extended JSON; check its quotes.") from error


def _keys(key: RunKey, run: Run, chunk: Chunk) -> Iterator[Any]:
    plain = key.open(chunk.payload or b"", payload_name(run, chunk.number))
    yield from bson.decode(plain, KEYS)["keys"]


def _became(archive: ArchiveStore, key: RunKey, ref: ArchiveRef, name: bytes) -> str | None:
    """What became of a record, if this object knows."""
    found = (each.outcome for each in archive.read(key, ref) if identity(each.key) == name)
    return next(found, None)


def _left_in_conflict(
    archive: ArchiveStore,
    key: RunKey,
    run: Run,
    undos: Sequence[Chunk],
    whole: Any,
) -> int | None:
    """The undo chunk whose conflict is judged again; raises if the record is back."""
    name, again = identity(whole), None
    for chunk in undos:
        became = {_became(archive, key, ref, name) for ref in objects.every(chunk)}
        if "restored" in became:
            raise ForbiddenArrow(
                f"The record {mask('_id', whole)} of r-{run.id} is back already; nothing was done."
            )
        if "conflict" in became and not chunk.judged_again:
            again = chunk.number
    return again
