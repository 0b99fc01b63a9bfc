"""After a run the selector is asked again, and what is left is explained."""

from typing import Any

from sqlalchemy import or_, select, update
from sqlalchemy.orm import Session

from policies.selectors import AllOf
from policies.subjects import spared
from worker import claims, database, holds, runs
from worker.claims import LEASE
from worker.engine import Engine, Work, thaw
from worker.errors import DeadlineExceeded
from worker.states import State
from worker.tables import Chunk, Run
from worker.targets.base import ArchiveRef


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
    collection = work.options.collection
    target = engine.target_of(work.options)
    held = holds.protected_now(engine, work)
    free = spared(work.selector, held)
    left = {"held": 0, "failed": 0, "changed_since": 0}
    with engine.database.transaction() as session:
        archives = _with_exceptions(session, work.run.id)
    for ref in archives:
        keys: dict[str, list[Any]] = {"failed": [], "changed_since": []}
        for record in engine.archive.read(work.key, ref):
            if record.outcome in keys:
                keys[record.outcome].append(record.key)
        for outcome, those in keys.items():
            if those:
                left[outcome] += target.count_of(collection, free, work.as_of, those)
    try:
        if held is not None:
            kept = AllOf(all=(work.selector, held))
            left["held"] = target.count(collection, kept, work.as_of)
        total = target.count(collection, work.selector, work.as_of)
    except DeadlineExceeded:
        explained = sum(left.values())
        return {"total": explained, "at_least": True, **left, "not_planned": None}
    return {"total": total, "at_least": False, **left, "not_planned": total - sum(left.values())}


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
