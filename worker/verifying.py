"""After a run the selector is asked again, and what is left is explained."""

import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from jobs.base import PlanContext
from policies.selectors import AllOf, Selector
from policies.subjects import spared
from worker import claims, database, holds, runs
from worker.claims import LEASE
from worker.engine import Engine, Work, thaw
from worker.errors import DeadlineExceeded
from worker.holds import Standing
from worker.states import State
from worker.tables import Chunk, Run
from worker.targets.base import ArchiveRef, Target
from worker.targets.page import keys_of
from worker.targets.record_key import identity

PLANNING_SECONDS = 30
"""Planning once more ends well within the lease of whoever verifies."""


def verify(engine: Engine, run_id: int) -> bool:
    """Count and explain what is left, and succeed; False when another verifier is at it."""
    run = _claim(engine, run_id)
    if run is None:
        return False
    work = thaw(run, engine.keyring)
    remaining = _remaining(engine, work)
    with engine.database.transaction() as session:
        current = runs.get(session, run_id, lock=True)
        moment = database.now(session)
        undo = work.policy.undo
        current.remaining = remaining
        runs.move(
            session,
            current,
            State.SUCCEEDED,
            engine.actor,
            detail=claims.succeeded(session, current),
            finished_at=moment,
            lease_until=None,
            expires_at=moment if undo == "none" else moment + undo.delta,
        )
    return True


def _claim(engine: Engine, run_id: int) -> Run | None:
    """One verifier at a time; a lost one is replaced when its lease ends."""
    with engine.database.transaction() as session:
        moment = database.now(session)
        free = or_(Run.lease_until.is_(None), Run.lease_until < moment)
        claimed = database.rows_changed(
            session,
            update(Run)
            .where(Run.id == run_id, Run.state == State.VERIFYING, free)
            .values(lease_until=moment + 4 * LEASE),
        )
        return runs.get(session, run_id) if claimed == 1 else None


def _remaining(engine: Engine, work: Work) -> dict[str, Any]:
    """`total`, and of it what is held, failed, changed since the plan, and what no plan had.

    A total that takes too long to count is `at_least` what can be explained.
    """
    stands = holds.now(engine.database)
    held = holds.protected(engine.subjects, work.policy, stands)
    left = {"held": 0, "failed": 0, "changed_since": 0}
    still = _still_found(engine, work, stands, held)
    with engine.database.transaction() as session:
        archives = _with_exceptions(session, work.run.id)
    for ref in archives:
        keys: dict[str, list[Any]] = {"failed": [], "changed_since": []}
        for record in engine.archive.read(work.key, ref):
            if record.outcome in keys:
                keys[record.outcome].append(record.key)
        for outcome, those in keys.items():
            if those:
                left[outcome] += still.count_of(those)
    try:
        left["held"] = still.count_held()
        total = still.count() + left["held"]
    except DeadlineExceeded:
        explained = sum(left.values())
        return {"total": explained, "at_least": True, **left, "not_planned": None}
    return {"total": total, "at_least": False, **left, "not_planned": total - sum(left.values())}


class _Found(Protocol):
    """What the policy finds now; each question may raise `DeadlineExceeded`."""

    def count(self) -> int:
        """How many records that no hold protects."""

    def count_of(self, keys: Sequence[Any]) -> int:
        """How many of these, that no hold protects."""

    def count_held(self) -> int:
        """How many records that a hold protects."""


@dataclass(frozen=True)
class _BySelector:
    """The target counts what the selector says."""

    target: Target
    work: Work
    held: Selector | None

    def count(self) -> int:
        return self._count(spared(self.work.selector, self.held))

    def count_of(self, keys: Sequence[Any]) -> int:
        free = spared(self.work.selector, self.held)
        return self.target.count_of(self.work.options.collection, free, self.work.as_of, keys)

    def count_held(self) -> int:
        if self.held is None:
            return 0
        return self._count(AllOf(all=(self.work.selector, self.held)))

    def _count(self, selector: Selector) -> int:
        return self.target.count(self.work.options.collection, selector, self.work.as_of)


@dataclass(frozen=True)
class _ByPlanning:
    """The job plans once more, for as long as there is time; holds let it find the rest alone."""

    found: set[bytes]
    is_whole: bool

    def count(self) -> int:
        if not self.is_whole:
            raise DeadlineExceeded("Planning once more took longer than allowed.")
        return len(self.found)

    def count_of(self, keys: Sequence[Any]) -> int:
        return len(self.found.intersection(map(identity, keys)))

    def count_held(self) -> int:
        return 0


def _still_found(engine: Engine, work: Work, stands: Standing, held: Selector | None) -> _Found:
    target = engine.target_of(work.options)
    if work.job.is_said_by_selector(work.policy):
        return _BySelector(target, work, held)
    collection = work.options.collection
    reader = target.reader(collection, work.as_of, scan=True, held=held, primary=True)
    found: set[bytes] = set()
    ends = time.monotonic() + PLANNING_SECONDS
    beside = holds.beside(engine.subjects, work.policy, stands)
    context = PlanContext(work.as_of, reader, beside)
    for page in work.job.plan(context, work.policy, work.selector):
        found.update(map(identity, keys_of(page)))
        if time.monotonic() > ends:
            return _ByPlanning(found, is_whole=False)
    return _ByPlanning(found, is_whole=True)


def _with_exceptions(session: Session, run_id: int) -> list[ArchiveRef]:
    """The archive objects that hold records which were not changed."""
    chunks = session.scalars(
        select(Chunk).where(Chunk.run_id == run_id, Chunk.direction == "apply")
    )
    return [
        ArchiveRef(archive["name"], archive["sha256"], archive["size"])
        for chunk in chunks
        for archive in chunk.archives
        if archive["others"]
    ]
