"""Claims on chunks: compare-and-set on the control database's clock, one attempt at a time.

Every claim writes an intent, and every end of a claim an outcome, so that a reader can pair
them: (run, direction, chunk, attempt).
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import BindParameter, and_, bindparam, case, func, or_, select
from sqlalchemy.orm import Session

from jobs.base import Outcomes, added
from worker import database, holds, runs, stops
from worker.audit import entries
from worker.database import Database
from worker.errors import ClaimLost
from worker.holds import Standing
from worker.identity import Actor
from worker.registry import frozen_policy
from worker.states import State
from worker.steps import given_back, still_changed
from worker.tables import OUTCOMES, Chunk, Doorbell, Run
from worker.targets.base import BatchRecord
from worker.throttle import pace

LEASE = timedelta(seconds=15)
MAX_RESCUES = 3
MAX_RETRIES = 8
Batches = tuple[BatchRecord, ...] | None
"""What the fence says, or None when it could not be asked, or a task has none: then the row keeps
what it has."""
WORKING = {"apply": State.APPLYING, "undo": State.UNDOING}
_MAY_WRITE = (State.APPLYING, State.UNDOING, State.PAUSED)
"""A run that was just paused may have a batch at work."""


@dataclass(frozen=True)
class Claim:
    """The right of one attempt to work on one chunk, until its lease ends."""

    run_id: int
    token: str
    direction: str
    number: int
    attempt: int
    items: int
    worker: str

    @property
    def fence(self) -> str:
        return f"{self.token}/{self.direction}/{self.number}"


def claim(db: Database, run_id: int, worker: str, actor: Actor) -> Claim | None:
    """Claim the next chunk of a run, or None when there is nothing to claim now.

    A chunk that lost its worker too often fails the run: something in it kills workers.
    """
    with db.transaction() as session:
        _lock_rivals(session, run_id)
        run = session.get(Run, run_id, with_for_update=True, populate_existing=True)
        if run is None or run.state not in WORKING.values() or _must_wait(session, run):
            return None
        chunk = _next(session, run)
        if chunk is None:
            return None
        if chunk.state == "claimed":
            record_outcome(session, run, chunk, actor, "lost")
            if chunk.rescues == MAX_RESCUES:
                _poisonous(session, run, chunk, actor)
                return None
            chunk.rescues += 1
        return _claimed(session, run, chunk, worker, actor)


def take_over(db: Database, lost: Chunk, worker: str, actor: Actor) -> Claim | None:
    """Claim a chunk whose lease ended, to end its attempt and release it at once.

    None if its worker came back, or somebody else has taken it over.
    """
    with db.transaction() as session:
        run = runs.get(session, lost.run_id, lock=True)
        key = (lost.run_id, lost.direction, lost.number)
        chunk = session.get_one(Chunk, key, with_for_update=True, populate_existing=True)
        ended = chunk.lease_until is not None and chunk.lease_until < database.now(session)
        if chunk.state != "claimed" or chunk.attempt != lost.attempt or not ended:
            return None
        record_outcome(session, run, chunk, actor, "lost")
        return _claimed(session, run, chunk, worker, actor)


def _claimed(session: Session, run: Run, chunk: Chunk, worker: str, actor: Actor) -> Claim:
    chunk.state = "claimed"
    chunk.attempt += 1
    chunk.claimed_by = worker
    chunk.lease_until = database.now(session) + LEASE
    entries.append(
        session, "chunk_intent", actor, run=run, detail={**_name(chunk), "items": chunk.items}
    )
    return Claim(
        run.id, run.token, chunk.direction, chunk.number, chunk.attempt, chunk.items, worker
    )


@dataclass(frozen=True)
class Leave:
    """A chunk may go on: what its next batch has to know of the control database."""

    changed: int
    """Records that the run has changed so far."""
    holds: Standing


def progress(db: Database, claim: Claim, batches: Batches) -> Leave | None:
    """Record what the fence says was committed and renew the lease.

    Returns None when nothing more may be changed now: the run ended or something stops it.
    Raises `ClaimLost` when another attempt owns the chunk. The fence knows all of this, so the
    next batch does not wait for the disk.
    """
    with db.transaction(durable=False) as session:
        chunk = _held(session, claim)
        chunk.lease_until = database.now(session) + LEASE
        if batches is not None:
            apply_batches(chunk, batches)
        session.flush()
        state, text = session.execute(_STATE, {"run_id": claim.run_id}).one()
        if state != WORKING[claim.direction] or stops.standing(session, frozen_policy(text)):
            return None
        stands = holds.standing(session)
        chunk.holds_seen = stands.seen
        return Leave(_changed(session, claim), stands)


def _changed(session: Session, claim: Claim) -> int:
    phase = {"run_id": claim.run_id, "direction": claim.direction}
    return int(session.scalar(_CHANGED, phase) or 0)


def performed(db: Database, claim: Claim, end: int, outcomes: Outcomes) -> None:
    """Add what became of a task's items up to `end`: no target holds a fence that could say it."""
    with db.transaction() as session:
        chunk = _held(session, claim)
        for name, count in zip(OUTCOMES, outcomes.counts, strict=True):
            setattr(chunk, name, getattr(chunk, name) + count)
        chunk.cursor = end
        chunk.retries = 0


def renew(db: Database, claim: Claim) -> None:
    """The claim's worker is alive, in the middle of something long."""
    with db.transaction() as session:
        _held(session, claim).lease_until = database.now(session) + LEASE


def finish(db: Database, claim: Claim, batches: Batches, actor: Actor) -> None:
    """Every item has its outcome: the chunk is done, and with the last chunk so is the phase."""
    with db.transaction() as session:
        run = runs.get(session, claim.run_id, lock=True)
        chunk = _held(session, claim)
        if batches is not None:
            apply_batches(chunk, batches)
        chunk.state = "done"
        chunk.finished_at = database.now(session)
        chunk.lease_until = None
        record_outcome(session, run, chunk, actor, "done")
        session.flush()
        if run.state == WORKING[claim.direction] and all_done(session, run, claim.direction):
            if claim.direction == "apply":
                runs.move(session, run, State.VERIFYING, actor)
            else:
                end_undo(session, run, actor)


def release(
    db: Database,
    claim: Claim,
    batches: Batches,
    actor: Actor,
    *,
    retry: str | None = None,
) -> None:
    """Give the chunk back. With `retry`, a passing fault's text, it waits longer each time.

    A drained or cancelled claim costs nothing: only faults count towards `MAX_RETRIES`.
    """
    with db.transaction() as session:
        run = runs.get(session, claim.run_id, lock=True)
        chunk = _held(session, claim)
        moved = _moved(chunk, batches)
        if batches is not None:
            apply_batches(chunk, batches)
        chunk.state = "pending"
        chunk.lease_until = None
        moment = database.now(session)
        if retry is not None:
            chunk.retries = 1 if moved else chunk.retries + 1
            chunk.error = retry
            chunk.not_before = moment + timedelta(seconds=min(2**chunk.retries, 60))
        record_outcome(session, run, chunk, actor, "released")
        if run.state == WORKING[claim.direction] and not run.inline:
            runs.ring(session, run, chunk.not_before or moment)


def fail(db: Database, claim: Claim, batches: Batches, actor: Actor, error: str) -> None:
    """The chunk cannot be finished as things are: the run fails with the cause on record."""
    with db.transaction() as session:
        run = runs.get(session, claim.run_id, lock=True)
        chunk = _held(session, claim)
        if batches is not None:
            apply_batches(chunk, batches)
        chunk.state = "failed"
        chunk.error = error
        chunk.lease_until = None
        record_outcome(session, run, chunk, actor, "failed")
        if run.state == WORKING[claim.direction]:
            fail_run(session, run, actor, f"chunk {chunk.number}: {error}")


def end_undo(session: Session, run: Run, actor: Actor) -> None:
    """Undone; or, after single records, what the run was before, for the rest stays changed."""
    moment = database.now(session)
    if run.phase != "only":
        runs.move(session, run, State.UNDONE, actor, finished_at=moment)
        return
    was_verified = run.remaining is not None
    runs.move(
        session,
        run,
        State.SUCCEEDED if was_verified else State.CANCELLED,
        actor,
        detail=succeeded(session, run) if was_verified else None,
        phase="apply",
        finished_at=run.finished_at or moment,
    )


def succeeded(session: Session, run: Run) -> dict[str, Any]:
    """The detail of a `run_succeeded` entry."""
    counts = dict(zip(OUTCOMES, totals(session, run.id).counts, strict=True))
    return {
        "counts": counts,
        "cascade": cascade(session, run.id),
        "remaining": run.remaining,
        "digest": run.digest,
    }


def fail_run(session: Session, run: Run, actor: Actor, error: str) -> None:
    """Move a run to `failed` with its cause; `phase` tells `resume` where to go on."""
    runs.move(session, run, State.FAILED, actor, error=error, finished_at=database.now(session))


def is_at_work(session: Session, run_id: int) -> bool:
    """Whether somebody holds a chunk of the run at this moment."""
    claimed = select(Chunk.number).where(
        Chunk.run_id == run_id,
        Chunk.state == "claimed",
        Chunk.lease_until > database.now(session),
    )
    return session.scalar(claimed.limit(1)) is not None


def retries_left(db: Database, claim: Claim, batches: Batches) -> bool:
    with db.transaction() as session:
        chunk = _held(session, claim)
        return _moved(chunk, batches) or chunk.retries < MAX_RETRIES


def apply_batches(chunk: Chunk, batches: tuple[BatchRecord, ...]) -> None:
    """Make the row say exactly what the fence says."""
    total = sum((batch.outcomes for batch in batches), Outcomes())
    for name, count in zip(OUTCOMES, total.counts, strict=True):
        setattr(chunk, name, count)
    chunk.cascade = dict(total.cascade)
    chunk.children = total.children
    chunk.cursor = batches[-1].end if batches else 0
    conflicts = {back.number: step.children + back.children for step, back in given_back(batches)}
    left = {batch.number for batch in still_changed(batches)}
    chunk.archives = [
        {
            "name": batch.archive.name,
            "sha256": batch.archive.sha256,
            "size": batch.archive.size,
            "changed": batch.outcomes.changed,
            "others": batch.outcomes.total - batch.outcomes.changed,
            "children": batch.children if batch.number in left else 0,
            "conflicts": conflicts.get(batch.number, 0),
        }
        for batch in batches
    ]


def totals(session: Session, run_id: int, direction: str = "apply") -> Outcomes:
    """What became of a run's items so far, summed over its chunks, each conflict once."""
    row = session.execute(_TOTALS, {"run_id": run_id, "direction": direction}).one()
    return Outcomes(*(int(value) for value in row))


def cascade(session: Session, run_id: int, direction: str = "apply") -> dict[str, int]:
    """By collection, the records that went with a run's items so far, or came back with them."""
    total: dict[str, int] = {}
    for counted in session.scalars(_CASCADE, {"run_id": run_id, "direction": direction}):
        total = added(total, counted)
    return {name: count for name, count in total.items() if count}


def children(session: Session, run_id: int, direction: str = "apply") -> int:
    """The sum of `cascade`."""
    return int(session.scalar(_CHILDREN, {"run_id": run_id, "direction": direction}) or 0)


def record_outcome(session: Session, run: Run, chunk: Chunk, actor: Actor, result: str) -> None:
    """The entry that answers an attempt's intent; what it counts is what the fence committed."""
    counts: dict[str, Any] = {name: getattr(chunk, name) for name in OUTCOMES}
    entries.append(
        session,
        "chunk_outcome",
        actor,
        run=run,
        detail={
            **_name(chunk),
            "result": result,
            "cursor": chunk.cursor,
            "counts": counts,
            "cascade": chunk.cascade,
            "archives": [
                {"name": archive["name"], "sha256": archive["sha256"]} for archive in chunk.archives
            ],
        },
    )


def _moved(chunk: Chunk, batches: Batches) -> bool:
    return bool(batches and len(batches) > len(chunk.archives))


def _name(chunk: Chunk) -> dict[str, Any]:
    return {"direction": chunk.direction, "chunk": chunk.number, "attempt": chunk.attempt}


def _next(session: Session, run: Run) -> Chunk | None:
    direction = "undo" if run.state == State.UNDOING else "apply"
    phase = {"run_id": run.id, "direction": direction, "moment": database.now(session)}
    return session.scalars(_CLAIMABLE, phase).first()


def _held(session: Session, claim: Claim) -> Chunk:
    chunk = session.get(
        Chunk,
        (claim.run_id, claim.direction, claim.number),
        with_for_update=True,
        populate_existing=True,
    )
    if chunk is None or chunk.state != "claimed" or chunk.attempt != claim.attempt:
        raise ClaimLost(
            f"Attempt {claim.attempt} at chunk {claim.number} of r-{claim.run_id} was overtaken "
            "or ended; what it committed stays on record."
        )
    return chunk


def _must_wait(session: Session, run: Run) -> bool:
    """Whether something stops the run, others write there, or enough of its own writers do."""
    writers = pace.of(frozen_policy(run.policy_text)).writers
    stop = stops.of_run(session, run)
    if stop is not None:
        _ring_again(session, run, stop, writers)
        return True
    if rival_at_work(session, run) is not None:
        return True
    at_work = session.scalar(_AT_WORK, {"run_id": run.id, "moment": database.now(session)})
    return int(at_work or 0) >= writers


def rival_at_work(session: Session, run: Run) -> Run | None:
    """Another policy's run that somebody writes to the same collection for at this moment.

    While a run is stopped or paused another one may begin there; they take turns by chunks.
    """
    found = session.scalars(_RIVALS, {"run_id": run.id}).all()
    return next((other for other in found if is_at_work(session, other.id)), None)


def _lock_rivals(session: Session, run_id: int) -> None:
    """Whoever may write to the same collection, this run too, so that no two claim at once."""
    session.execute(_LOCK_WITH_RIVALS, {"run_id": run_id}).all()


def _ring_again(session: Session, run: Run, stop: stops.Stop, writers: int) -> None:
    """Owe one doorbell for each writer when the stop ends, however often the run is looked at."""
    if stop.until is None or run.inline:
        return
    owed = select(Doorbell.id).where(Doorbell.run_id == run.id, Doorbell.due_at >= stop.until)
    if session.scalar(owed.limit(1)) is None:
        runs.ring(session, run, stop.until, rings=writers)


def _poisonous(session: Session, run: Run, chunk: Chunk, actor: Actor) -> None:
    chunk.state = "failed"
    chunk.error = f"its worker was lost {MAX_RESCUES + 1} times"
    chunk.lease_until = None
    fail_run(session, run, actor, f"chunk {chunk.number}: {chunk.error}")


def all_done(session: Session, run: Run, direction: str) -> bool:
    """Whether nothing is left to do; what an earlier undo left is stopped."""
    return session.scalar(_LEFT, {"run_id": run.id, "direction": direction}) == 0


# Asked before every chunk or batch, and so built once: that takes longer than to ask.
_THIS: BindParameter[int] = bindparam("run_id")
_MOMENT: BindParameter[datetime] = bindparam("moment")
_IS_CLAIMED = Chunk.state == "claimed"
_PHASE = and_(Chunk.run_id == _THIS, Chunk.direction == bindparam("direction"))
_STATE = select(Run.state, Run.policy_text).where(Run.id == _THIS)
_COUNTED = {name: getattr(Chunk, name) for name in OUTCOMES} | {
    "changed_since": case((Chunk.judged_again, 0), else_=Chunk.changed_since)
}
_TOTALS = select(*(func.coalesce(func.sum(each), 0) for each in _COUNTED.values())).where(_PHASE)
_CHANGED = select(func.coalesce(func.sum(Chunk.changed + Chunk.children), 0)).where(_PHASE)
_CHILDREN = select(func.coalesce(func.sum(Chunk.children), 0)).where(_PHASE)
_CASCADE = select(Chunk.cascade).where(_PHASE, Chunk.children != 0)
_COUNT = select(func.count()).select_from(Chunk)
_LEFT = _COUNT.where(_PHASE, Chunk.state.not_in(("done", "stopped")))
_AT_WORK = _COUNT.where(Chunk.run_id == _THIS, _IS_CLAIMED, Chunk.lease_until >= _MOMENT)
_FREE = and_(Chunk.state == "pending", or_(Chunk.not_before.is_(None), Chunk.not_before <= _MOMENT))
_LOST = and_(_IS_CLAIMED, Chunk.lease_until < _MOMENT)
_CLAIMABLE = (
    select(Chunk)
    .where(_PHASE, or_(_FREE, _LOST))
    .order_by(Chunk.number)
    .limit(1)
    .with_for_update(skip_locked=True)
)
_IS_RIVAL = and_(runs.shares_a_collection(_THIS), Run.state.in_(_MAY_WRITE))
_RIVALS = select(Run).where(_IS_RIVAL, Run.id != _THIS).order_by(Run.id)
_LOCK_WITH_RIVALS = (
    select(Run.id).where(or_(Run.id == _THIS, _IS_RIVAL)).order_by(Run.id).with_for_update()
)
