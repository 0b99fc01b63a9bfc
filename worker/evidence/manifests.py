"""Which records a chunk changed, kept for years without a word that names a person.

A manifest is written when its chunk is over, from the archive objects that the chunk's outcome
names, and before they are destroyed. Each line is two HMACs under the key of the record's subject:
a tag by which whoever has the key finds the line, and the record's key. Without that key the lines
of a person differ in nothing from random bytes, from one another's and from anybody else's.
"""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from typing import Any, NamedTuple

import structlog
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hmac import HMAC
from sqlalchemy import ColumnElement, and_, exists, or_, select, true
from sqlalchemy.orm import InstrumentedAttribute

from worker import objects, runs
from worker.audit import entries, merkle
from worker.engine import Engine
from worker.errors import ArchiveAltered
from worker.evidence.subject_keys import Subject, SubjectKeys
from worker.held_archives import SubjectFields, place_of_record
from worker.keys import RunKey
from worker.tables import Chunk, Manifest, Run
from worker.targets.base import RecordOutcome
from worker.targets.record_key import identity

log = structlog.get_logger()

HALF = 16
"""Bytes of a tag, and of a record's own HMAC: half of a SHA-256, as RFC 2104 allows."""
LINE = 2 * HALF
NOBODY: Subject = ("", "")
"""Whose lines those of a record are that belongs to no subject."""
Keys = Mapping[Subject, bytes]


class Listed(NamedTuple):
    """One record as its manifest lists it."""

    place: str
    became: str
    key: bytes
    subjects: Sequence[Subject]


@dataclass
class Lines:
    """The records of one manifest by what finds them, and as little of each as makes a line."""

    keys: dict[tuple[Subject, str, str], list[bytes]] = field(default_factory=dict)
    """Of each subject, by place and by what became of them, the keys of its records in order."""
    _counted: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, record: Listed) -> None:
        place, became, key, subjects = record
        self._counted[place, became] += 1
        for subject in subjects:
            self.keys.setdefault((subject, place, became), []).append(key)

    @property
    def subjects(self) -> Iterable[Subject]:
        return dict.fromkeys(subject for subject, _, _ in self.keys)

    @property
    def counts(self) -> dict[str, dict[str, int]]:
        """How many records, by place and by what became of them."""
        counts: dict[str, dict[str, int]] = {}
        for (place, became), count in sorted(self._counted.items()):
            counts.setdefault(place, {})[became] = count
        return counts

    def made(self, chunk: str, keys: Keys) -> list[bytes]:
        """The lines, sorted; `chunk` names the manifest in its tags."""
        lines: list[bytes] = []
        for (subject, place, became), records in self.keys.items():
            key = keys[subject]
            tag = _halves(key, _tags(chunk, place, became))
            name = _halves(key, b"record\0" + place.encode() + b"\0")
            lines += [tag(b"%d" % number) + name(record) for number, record in enumerate(records)]
        lines.sort()
        return lines


def _tags(chunk: str, place: str, became: str) -> bytes:
    """How the text of a tag begins; it ends with the number of the subject's line, from 0."""
    return f"tag\0{chunk}\0{place}\0{became}\0".encode()


def _halves(key: bytes, begin: bytes) -> Callable[[bytes], bytes]:
    """Half of the HMAC of any text that begins so; the key and the beginning are hashed once."""
    begun = HMAC(key, SHA256())
    begun.update(begin)

    def half(end: bytes) -> bytes:
        whole = begun.copy()
        whole.update(end)
        return whole.finalize()[:HALF]

    return half


def name_of(run_id: int, direction: str, number: int) -> str:
    return f"r-{run_id}/{direction}/{number}"


def owed(
    run_id: int | InstrumentedAttribute[int], *, at_the_end: bool = False
) -> ColumnElement[bool]:
    """Chunks of a run that changed something and have no manifest, once they are over."""
    written = exists().where(
        Manifest.run_id == Chunk.run_id,
        Manifest.direction == Chunk.direction,
        Manifest.number == Chunk.number,
    )
    changed = or_(Chunk.changed > 0, Chunk.children > 0)
    is_over = true() if at_the_end else Chunk.state.in_(("done", "stopped"))
    return and_(Chunk.run_id == run_id, changed, is_over, ~written)


def write_owed(engine: Engine, run: Run, *, at_the_end: bool = False) -> None:
    """Write what is owed; `at_the_end` of its archive also for chunks that nobody finished.

    Raises `ArchiveError` while the store is out of reach.
    """
    if run.key is None or run.collection is None:
        return
    key = engine.keyring.unwrap(run.key)
    keys: SubjectKeys | None = None
    while True:
        with engine.database.transaction() as session:
            ordered = select(Chunk).where(owed(run.id, at_the_end=at_the_end))
            chunk = session.scalars(ordered.order_by(Chunk.direction, Chunk.number)).first()
        if chunk is None:
            return
        keys = keys or SubjectKeys.of(engine.database, engine.keyring)
        _write(engine, run, key, keys, chunk)


def _write(engine: Engine, run: Run, key: RunKey, subjects: SubjectKeys, chunk: Chunk) -> None:
    """Manifest and entry in one transaction; whoever comes second writes neither."""
    reading = _Reading(engine, run, key)
    lines = Lines()
    for record in reading.listed(chunk):
        lines.add(record)
    keys = subjects.make(lines.subjects)
    made = lines.made(name_of(run.id, chunk.direction, chunk.number), keys)
    manifest = Manifest(
        run_id=run.id,
        direction=chunk.direction,
        number=chunk.number,
        lines=len(made),
        root=root_of(made),
        counts=lines.counts,
        payload=b"".join(made),
    )
    with engine.database.transaction() as session:
        current = runs.get(session, run.id, lock=True)
        if session.get(Manifest, (run.id, chunk.direction, chunk.number)) is not None:
            return
        session.add(manifest)
        entries.append(
            session, "chunk_manifest", engine.actor, run=current, detail=_detail(manifest, reading)
        )


def _detail(manifest: Manifest, reading: "_Reading") -> dict[str, Any]:
    return {
        "direction": manifest.direction,
        "chunk": manifest.number,
        "counts": manifest.counts,
        "lines": manifest.lines,
        "root": manifest.root,
        "unreadable": reading.unreadable,
    }


def root_of(lines: Iterable[bytes]) -> str:
    """The Merkle root of RFC 6962 over lines, in hex."""
    return merkle.CompactRange().extend(map(merkle.leaf_hash, lines)).root.hex()


def lines_of(manifest: Manifest, key: bytes) -> Iterator[tuple[str, str, int]]:
    """Of each record of the key's subject: where it was, what became of it, its line's index."""
    name = name_of(manifest.run_id, manifest.direction, manifest.number)
    for place, counted in manifest.counts.items():
        for became, most in counted.items():
            tag = _halves(key, _tags(name, place, became))
            for number in range(most):
                index = _index(manifest, tag(b"%d" % number))
                if index is None:
                    break
                yield place, became, index


def _index(manifest: Manifest, wanted: bytes) -> int | None:
    payload = manifest.payload
    tags = range(manifest.lines)
    place = bisect_left(tags, wanted, key=lambda at: payload[at * LINE : at * LINE + HALF])
    found = payload[place * LINE : place * LINE + HALF]
    return place if found == wanted else None


def split(payload: bytes) -> list[bytes]:
    """The lines of a manifest."""
    return [payload[start : start + LINE] for start in range(0, len(payload), LINE)]


@dataclass
class _Reading:
    """The records of a chunk as its archive objects tell of them."""

    engine: Engine
    run: Run
    key: RunKey
    unreadable: int = 0
    """Archive objects that are missing or altered: their records no manifest can list."""

    def listed(self, chunk: Chunk) -> Iterator[Listed]:
        if chunk.direction == "apply":
            yield from self._changed(chunk)
            return
        with self.engine.database.transaction() as session:
            source = session.get_one(Chunk, (self.run.id, "apply", chunk.source))
        # An undo archives no image: whose a record is, the run's own archive knows.
        whose = {(one.place, one.key): one.subjects for one in self._changed(source)}
        for record in self._records(chunk):
            if record.outcome == "restored":
                place, key = place_of_record(self.run, record), identity(record.key)
                yield Listed(place, "restored", key, whose.get((place, key), (NOBODY,)))

    def _changed(self, chunk: Chunk) -> Iterator[Listed]:
        fields = cache(partial(SubjectFields.of, self.engine.subjects))
        for record in self._records(chunk):
            if record.outcome == "changed":
                place = place_of_record(self.run, record)
                found = tuple(fields(place).subjects_of(record))
                yield Listed(place, _became(record), identity(record.key), found or (NOBODY,))

    def _records(self, chunk: Chunk) -> Iterator[RecordOutcome]:
        for ref in objects.changed(chunk):
            try:
                yield from self.engine.archive.read(self.key, ref)
            except ArchiveAltered as error:
                log.warning("not in its manifest", run=self.run.id, object=ref.name, why=str(error))
                self.unreadable += 1


def _became(record: RecordOutcome) -> str:
    if record.label is not None:
        return "quarantined"
    return "deleted" if record.written is None else "written"
