"""What an undo takes back: the records that a run changed and that are not back already.

A preview and the undo itself read the same archive objects and ask the target the same question.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import bson
from sqlalchemy import select

from worker import holds, objects, settling
from worker.archive import ArchiveStore
from worker.engine import Engine, thaw
from worker.keys import RunKey
from worker.steps import still_changed
from worker.tables import Chunk, Run
from worker.targets.base import ArchiveRef, Place, RecordOutcome, place_of
from worker.targets.record_key import identity


@dataclass(frozen=True)
class Picked:
    """One record that a person asked for by its key."""

    source: int
    """The chunk that changed it."""
    object: ArchiveRef
    identity: bytes
    again: int | None
    """The undo chunk that left it in conflict before."""
    payload: bytes
    """The same, sealed: what its own undo chunk will hold."""


@dataclass(frozen=True)
class Share:
    """What one undo chunk takes back: of these archive objects, these records."""

    objects: Sequence[ArchiveRef]
    back: frozenset[Place] = frozenset()
    """Those that an earlier undo restored."""
    only: bytes | None = None

    def records(
        self, archive: ArchiveStore, key: RunKey, start: int, end: int
    ) -> list[RecordOutcome]:
        """The before-images in the objects from `start` to `end`; raises `ArchiveError`."""
        found = (record for ref in self.objects[start:end] for record in archive.read(key, ref))
        return [record for record in found if record.outcome == "changed" and self._has(record)]

    def _has(self, record: RecordOutcome) -> bool:
        if self.only is None and not self.back:
            return True
        return place_of(record) not in self.back and self.only in {None, identity(record.key)}


def share(engine: Engine, key: RunKey, run: Run, chunk: Chunk) -> Share:
    """What this undo chunk takes back."""
    if chunk.payload is not None:
        named = bson.decode(key.open(chunk.payload, _payload_name(run, chunk.source)))
        return Share((ArchiveRef(*named["object"]),), only=named["identity"])
    with engine.database.transaction() as session:
        source = session.get_one(Chunk, (run.id, "apply", chunk.source))
    return Share(committed(engine, run, source), _restored(engine, key, run, source.number))


def payload(key: RunKey, run: Run, source: int, ref: ArchiveRef, name: bytes) -> bytes:
    """The sealed payload of the undo chunk that takes back one record alone."""
    named = {"object": [ref.name, ref.sha256, ref.size], "identity": name}
    return key.seal(bson.encode(named), _payload_name(run, source))


def preview(engine: Engine, run: Run, picked: Sequence[Picked]) -> Iterator[RecordOutcome]:
    """`restored`, or `conflict` and why, for each record; nothing is written anywhere.

    An undo that is asked for now does exactly this, unless somebody writes meanwhile.
    """
    work = thaw(run, engine.keyring)
    held = holds.protected(engine.subjects, work.policy, holds.now(engine.database))
    judge = engine.target_of_run(run).judge(work.options.collection, work.as_of, held)
    for each in _shares(engine, work.key, run, picked):
        for place in range(len(each.objects)):
            yield from judge.judge(each.records(engine.archive, work.key, place, place + 1))


def committed(engine: Engine, run: Run, chunk: Chunk) -> tuple[ArchiveRef, ...]:
    """The objects with what a chunk changed or restored; an open fence may know more than it.

    The last one first: so parents come back before the children that went ahead of them.
    """
    if settling.is_open(chunk):
        name = f"{run.token}/{chunk.direction}/{chunk.number}"
        batches = engine.target_of_run(run).committed(name)
        return tuple(batch.archive for batch in reversed(still_changed(batches)))
    return objects.changed(chunk)[::-1]


def _shares(engine: Engine, key: RunKey, run: Run, picked: Sequence[Picked]) -> Iterator[Share]:
    if picked:
        yield from (Share((one.object,), only=one.identity) for one in picked)
        return
    with engine.database.transaction() as session:
        sources = session.scalars(
            select(Chunk)
            .where(Chunk.run_id == run.id, Chunk.direction == "apply", Chunk.attempt > 0)
            .order_by(Chunk.number)
        ).all()
    for source in sources:
        back = _restored(engine, key, run, source.number)
        yield Share(committed(engine, run, source), back)


def _restored(engine: Engine, key: RunKey, run: Run, source: int) -> frozenset[Place]:
    """The records of a chunk that are back already."""
    with engine.database.transaction() as session:
        earlier = session.scalars(
            select(Chunk).where(
                Chunk.run_id == run.id, Chunk.direction == "undo", Chunk.source == source
            )
        ).all()
    return frozenset(
        place_of(record)
        for chunk in earlier
        for ref in committed(engine, run, chunk)
        for record in engine.archive.read(key, ref)
        if record.outcome == "restored"
    )


def _payload_name(run: Run, source: int | None) -> str:
    return f"{run.token}/only/{source}"
