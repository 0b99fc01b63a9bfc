"""Legal holds: which stand, and which records of a collection they protect."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import cast

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from policies.models import Policy, RecordOptions
from policies.selectors import Selector
from policies.subjects import Subjects
from worker.database import Database
from worker.errors import HoldUndeclared
from worker.registry import any_job_of
from worker.tables import Chunk, Hold

_STANDING = select(Hold.subject, Hold.value).where(Hold.released_at.is_(None)).distinct()
_LATEST = select(func.max(Hold.id))


@dataclass(frozen=True)
class Standing:
    """The holds that stand at one moment; `seen` is the id of the latest ever added."""

    seen: int
    subjects: tuple[tuple[str, str], ...]


def standing(session: Session) -> Standing:
    """Read in the transaction that precedes a batch: what is added later waits for that batch."""
    subjects = tuple((row.subject, row.value) for row in session.execute(_STANDING))
    return Standing(session.scalar(_LATEST) or 0, subjects)


def protected(subjects: Subjects, policy: Policy, stands: Standing) -> Selector | None:
    """What a policy must not touch of its collection; None if no hold protects anything there.

    Security locks and their release are exempt. Raises `HoldUndeclared` for a collection of
    which nobody said what holds mean there.
    """
    options = policy.options
    if not isinstance(options, RecordOptions):
        return None
    return _protected_in(subjects, policy, stands, options.collection)


def beside(subjects: Subjects, policy: Policy, stands: Standing) -> dict[str, Selector]:
    """The same of the other collections that the policy writes, where a hold protects anything."""
    options = cast(RecordOptions, policy.options)
    found = {
        name: _protected_in(subjects, policy, stands, name)
        for name in options.written
        if name != options.collection
    }
    return {name: held for name, held in found.items() if held is not None}


def _protected_in(
    subjects: Subjects, policy: Policy, stands: Standing, collection: str
) -> Selector | None:
    if any_job_of(policy).security or not stands.subjects:
        return None
    place = f"{cast(RecordOptions, policy.options).target}/{collection}"
    if not subjects.declares(place):
        raise HoldUndeclared(
            f"A legal hold stands, and holds/subjects.yaml does not say which field of {place} "
            "names a subject; add it there, or {} if it names none."
        )
    return subjects.held(place, stands.subjects)


def now(db: Database) -> Standing:
    """The holds that stand at this moment."""
    with db.transaction() as session:
        return standing(session)


def compiled_without(session: Session, hold_id: int) -> Sequence[Chunk]:
    """Chunks whose batch at work may have been compiled before this hold was added."""
    query = select(Chunk).where(Chunk.state == "claimed", Chunk.holds_seen < hold_id)
    return session.scalars(query.order_by(Chunk.run_id, Chunk.number)).all()
