"""Legal holds: which stand, and which records of a collection they protect."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from policies.selectors import Selector
from worker.engine import Engine, Work
from worker.errors import HoldUndeclared
from worker.tables import Chunk, Hold


@dataclass(frozen=True)
class Standing:
    """The holds that stand at one moment; `seen` is the id of the latest ever added."""

    seen: int
    subjects: tuple[tuple[str, str], ...]


def standing(session: Session) -> Standing:
    """Read in the transaction that precedes a batch: what is added later waits for that batch."""
    rows = session.execute(
        select(Hold.subject, Hold.value).where(Hold.released_at.is_(None)).distinct()
    )
    subjects = tuple((row.subject, row.value) for row in rows)
    return Standing(session.scalar(select(func.max(Hold.id))) or 0, subjects)


def protected(engine: Engine, work: Work, stands: Standing) -> Selector | None:
    """What a run must not touch of its collection; None if no hold protects anything there.

    Security locks and their release are exempt. Raises `HoldUndeclared` for a collection of
    which nobody said what holds mean there.
    """
    return _protected_in(engine, work, stands, work.options.collection)


def beside(engine: Engine, work: Work, stands: Standing) -> dict[str, Selector]:
    """The same of the other collections that the run writes, where a hold protects anything."""
    found = {
        name: _protected_in(engine, work, stands, name)
        for name in work.options.written
        if name != work.options.collection
    }
    return {name: held for name, held in found.items() if held is not None}


def _protected_in(engine: Engine, work: Work, stands: Standing, collection: str) -> Selector | None:
    if work.job.security or not stands.subjects:
        return None
    place = f"{work.options.target}/{collection}"
    if not engine.subjects.declares(place):
        raise HoldUndeclared(
            f"A legal hold stands, and holds/subjects.yaml does not say which field of {place} "
            "names a subject; add it there, or {} if it names none."
        )
    return engine.subjects.held(place, stands.subjects)


def protected_now(engine: Engine, work: Work) -> Selector | None:
    """What it must not touch of its collection by the holds that stand at this moment."""
    with engine.database.transaction() as session:
        stands = standing(session)
    return protected(engine, work, stands)


def beside_now(engine: Engine, work: Work) -> dict[str, Selector]:
    """The same of the other collections that it writes."""
    with engine.database.transaction() as session:
        stands = standing(session)
    return beside(engine, work, stands)


def compiled_without(session: Session, hold_id: int) -> Sequence[Chunk]:
    """Chunks whose batch at work may have been compiled before this hold was added."""
    query = select(Chunk).where(Chunk.state == "claimed", Chunk.holds_seen < hold_id)
    return session.scalars(query.order_by(Chunk.run_id, Chunk.number)).all()
