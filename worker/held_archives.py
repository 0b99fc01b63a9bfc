"""Archives and legal holds: the copy of a held record outlives the archive's own time."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache, partial
from typing import Self

import structlog
from sqlalchemy import select

from policies.subjects import Subjects
from worker import holds, objects
from worker.engine import Engine
from worker.errors import ArchiveError
from worker.tables import Chunk, Run
from worker.targets.base import ArchiveRef, RecordOutcome
from worker.targets.mongo_restore import value_at
from worker.targets.mongo_unique import MISSING

log = structlog.get_logger()

Subject = tuple[str, str]


def is_kept(engine: Engine, run: Run) -> bool:
    """Whether a run's archive has a record that a hold protects at this moment."""
    wanted = frozenset(holds.now(engine.database).subjects)
    try:
        return bool(wanted) and any(wanted & found for found in _subjects(engine, run))
    except ArchiveError as error:
        log.warning("archive kept, for nobody can see what it holds", run=run.id, why=str(error))
        return True


def matches(engine: Engine, subject: Subject) -> dict[int, int]:
    """By run, how many records of a subject lie in archives that were not destroyed."""
    with engine.database.transaction() as session:
        kept = select(Run).where(Run.key.is_not(None), Run.applying_at.is_not(None))
        runs = session.scalars(kept.order_by(Run.id)).all()
    counted = {run.id: sum(subject in found for found in _subjects(engine, run)) for run in runs}
    return {number: count for number, count in counted.items() if count}


def _subjects(engine: Engine, run: Run) -> Iterator[frozenset[Subject]]:
    """The subjects of each record that the run's archive can bring back."""
    if run.key is None or run.collection is None:
        return
    key = engine.keyring.unwrap(run.key)
    fields = cache(partial(SubjectFields.of, engine.subjects))
    for ref in _objects(engine, run):
        for record in engine.archive.read(key, ref):
            if record.before is not None:
                yield frozenset(fields(place_of_record(run, record)).subjects_of(record))


def _objects(engine: Engine, run: Run) -> Iterator[ArchiveRef]:
    with engine.database.transaction() as session:
        chunks = select(Chunk).where(Chunk.run_id == run.id, Chunk.direction == "apply")
        found = session.scalars(chunks).all()
    for chunk in found:
        yield from objects.changed(chunk)


def place_of_record(run: Run, record: RecordOutcome) -> str:
    """Target and collection of an archived record, which may be one that went with another."""
    planned = str(run.collection)
    if record.collection is None:
        return planned
    return f"{planned.partition('/')[0]}/{record.collection}"


@dataclass(frozen=True)
class SubjectFields:
    """Where the archived records of one collection name their subjects."""

    fields: Mapping[str, str]

    @classmethod
    def of(cls, subjects: Subjects, place: str) -> Self:
        """A row lies in its image's `row`."""
        inside = "row." if place.startswith("sql/") else ""
        return cls({name: inside + field for name, field in subjects.fields(place).items()})

    def subjects_of(self, record: RecordOutcome) -> Iterator[Subject]:
        """Whom a record belongs to; a value is the text of it, as a hold is written."""
        for name, field in self.fields.items():
            value = value_at(record.before, field)
            if value is not MISSING and value is not None:
                yield name, str(value)
