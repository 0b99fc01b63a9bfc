"""Runs: how one comes to be, how it moves, and what it waits for.

Every change of state goes through `move`, which knows the one table of arrows and writes the
audit entry in the same transaction.
"""

import re
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BindParameter,
    ColumnElement,
    and_,
    bindparam,
    delete,
    func,
    or_,
    select,
    update,
)
from sqlalchemy.orm import Session

from policies.models import Policy
from worker import anomaly, database, four_eyes, stops
from worker.audit import entries
from worker.errors import ForbiddenArrow, UnknownRun
from worker.identity import Actor
from worker.registry import any_job_of
from worker.states import ALLOWED, BUSY, UNFINISHED, State
from worker.tables import Chunk, Doorbell, Run, RunCollection, ScheduleCursor

_IN_THE_WAY = UNFINISHED - {State.VERIFYING}
"""States of a run that others may still wait for; who verifies, no longer writes."""


@dataclass(frozen=True)
class Request:
    """Who wants which policy run, why, and how far."""

    policy: Policy
    environment: str
    trigger: str
    actor: Actor
    reason: str
    apply_after_plan: bool
    inline: bool = False
    is_look: bool = False
    """Whether it leaves nothing behind if it finds nothing to do."""
    scheduled_for: datetime | None = None
    not_before: datetime | None = None
    narrowing: dict[str, Any] = field(default_factory=dict)


def create(session: Session, request: Request, *, skipped: str | None = None) -> Run:
    """Insert a run, its first entry and the doorbell it is owed, all or nothing.

    With `skipped`, the row only records why a due time led to no run.
    """
    moment = database.now(session)
    run = Run(
        policy=request.policy.name,
        collection=request.policy.collection,
        policy_version=request.policy.version,
        policy_text=request.policy.text,
        environment=request.environment,
        revision=database.revision(session),
        state=State.SKIPPED if skipped else State.QUEUED,
        trigger=request.trigger,
        scheduled_for=request.scheduled_for,
        not_before=request.not_before,
        apply_after_plan=request.apply_after_plan,
        inline=request.inline,
        is_look=request.is_look,
        actor=request.actor.name,
        actor_proof=request.actor.proof,
        on_behalf_of=request.actor.on_behalf_of,
        reason=request.reason,
        asked_by=[four_eyes.asker(request.actor)] if request.trigger == "manual" else [],
        narrowing=request.narrowing,
        refusal=skipped,
        created_at=moment,
        finished_at=moment if skipped else None,
    )
    session.add(run)
    session.flush()
    session.add_all(
        RunCollection(run_id=run.id, collection=name) for name in request.policy.collections
    )
    if not run.is_look:
        _record_creation(session, run, request.actor)
    if not skipped and not request.inline:
        ring(session, run, request.not_before or moment)
    return run


def _record_creation(session: Session, run: Run, actor: Actor) -> None:
    is_skipped = run.state == State.SKIPPED
    detail = {
        "reason": run.reason,
        "scheduled_for": entries.stamp(run.scheduled_for) if run.scheduled_for else None,
        "skipped": run.refusal if is_skipped else None,
    }
    action = "run_skipped" if is_skipped else "run_created"
    entries.append(session, action, actor, run=run, detail=detail)


def _record_look(session: Session, run: Run, start: State, actor: Actor) -> None:
    """It has something to say now: first come the entries that were spared until here."""
    run.is_look = False
    _record_creation(session, run, Actor(run.actor, run.actor_proof))
    if start == State.PLANNING:
        detail = {"from": str(State.QUEUED)}
        entries.append(session, "run_" + State.PLANNING, actor, run=run, detail=detail)


def forget_look(session: Session, run: Run) -> None:
    """It found nothing to do: nothing of it stays but when that was."""
    moment = database.now(session)
    cursor = update(ScheduleCursor).where(ScheduleCursor.policy == run.policy)
    session.execute(cursor.values(looked_at=moment))
    for table in (Doorbell, RunCollection, Chunk):
        session.execute(delete(table).where(table.run_id == run.id))
    session.delete(run)
    session.flush()
    _wake_the_next(session, run)


def ring(session: Session, run: Run, due_at: datetime, rings: int = 1) -> None:
    """Owe the workers a doorbell; the relay rings it after this transaction commits."""
    session.add(Doorbell(run_id=run.id, due_at=due_at, rings=rings))
    run.rung_at = due_at


def get(session: Session, run_id: int, *, lock: bool = False) -> Run:
    """The run; with `lock`, nobody else changes it until this transaction ends."""
    run = session.get(Run, run_id, with_for_update=lock, populate_existing=True)
    if run is None:
        raise UnknownRun(f"There is no run r-{run_id}; `tend runs` lists those there are.")
    return run


def parse_id(text: str) -> int:
    """The number in `r-1042` (or `1042`)."""
    match = re.fullmatch(r"(?:r-)?(\d{1,18})", text.strip().lower())
    if match is None:
        raise UnknownRun(
            f"'{text}' is no run id; ids look like r-1042, and `tend runs` lists them."
        )
    if int(match[1]) > database.LARGEST_ID:
        raise UnknownRun(f"There is no run {text}; `tend runs` lists those there are.")
    return int(match[1])


def move(
    session: Session,
    run: Run,
    to: State,
    actor: Actor,
    *,
    detail: dict[str, Any] | None = None,
    **columns: Any,
) -> None:
    """Take one arrow of the table, by compare-and-set, with its audit entry.

    Raises `ForbiddenArrow` when there is no such arrow, or when the run has moved meanwhile.
    """
    start = State(run.state)
    if (start, to) not in ALLOWED:
        raise ForbiddenArrow(f"Run r-{run.id} is {start}; from there it cannot become {to}.")
    session.flush()
    arrow = update(Run).where(Run.id == run.id, Run.state == start).values(state=to, **columns)
    arrow = arrow.execution_options(synchronize_session=False)  # the row is read again below
    if database.rows_changed(session, arrow) != 1:
        raise ForbiddenArrow(
            f"Run r-{run.id} is no longer {start}; look again with `tend show r-{run.id}`."
        )
    get(session, run.id)
    if run.is_look and to != State.PLANNING:
        _record_look(session, run, start, actor)
    if not run.is_look:
        facts = {"from": str(start), **(detail or {})}
        entries.append(session, "run_" + to, actor, run=run, detail=facts)
    if start in BUSY and to not in _IN_THE_WAY:
        _wake_the_next(session, run)


def go_on(session: Session, run: Run, actor: Actor, policy: Policy) -> None:
    """From `planned`: to the approver if one is asked for, else to the change."""
    cause = _why_another_person(session, run, policy)
    if cause is not None:
        park(session, run, actor, cause)
    else:
        begin(session, run, actor, policy)


def _why_another_person(session: Session, run: Run, policy: Policy) -> str | None:
    """A person who asks has read the plan; what the schedule began, nobody has."""
    if policy.approval == "required":
        return "its policy says `approval: required`"
    is_exempt = policy.approval == "none" or run.asked_by or any_job_of(policy).security
    return None if is_exempt else anomaly.cause(session, run, policy.guards.max_records)


def park(session: Session, run: Run, actor: Actor, cause: str) -> None:
    """The plan waits for another person, and says why."""
    move(
        session,
        run,
        State.AWAITING_APPROVAL,
        actor,
        detail={"cause": cause},
        approval_cause=cause,
        applied_by=actor.name,
    )


def begin(session: Session, run: Run, actor: Actor, policy: Policy) -> None:
    """The plan becomes change, exactly as it was frozen."""
    moment = database.now(session)
    move(
        session,
        run,
        State.APPLYING,
        actor,
        phase="apply",
        applying_at=moment,
        applied_by=run.applied_by or actor.name,
        expires_at=moment + (policy.plan_expires if policy.undo == "none" else policy.undo).delta,
    )
    if not run.inline:
        ring(session, run, moment, rings=policy.writers)


def busy(session: Session, run: Run, *, lock: bool = False) -> Run | None:
    """The run that this one must wait for: of one policy, and writing to one collection, one.

    With `lock`, no two runs can each find the other absent and begin.
    """
    this = {"run_id": run.id, "policy": run.policy}
    if lock:
        session.execute(_LOCK_RIVALS, this).all()
    found = session.scalars(_IN_ITS_WAY if _will_write(run) else _BEFORE_IT, this).all()
    return next((other for other in found if not _makes_way(session, run, other)), None)


def _makes_way(session: Session, run: Run, other: Run) -> bool:
    """Whether another policy's run is stopped: while that lasts it holds no collection.

    `claims.claim` sees to it that the two never write at the same time.
    """
    return (
        other.policy != run.policy
        and other.state in {State.APPLYING, State.UNDOING}
        and stops.of_run(session, other) is not None
    )


def shares_a_collection(run_id: int | BindParameter[int]) -> ColumnElement[bool]:
    """Runs that write where this one does, itself among them if it writes anywhere."""
    ours = select(RunCollection.collection).where(RunCollection.run_id == run_id)
    sharing = select(RunCollection.run_id).where(RunCollection.collection.in_(ours))
    return Run.id.in_(sharing)


def _will_write(run: Run) -> bool:
    """Only a plan that nobody applies yet leaves its collection to others."""
    return run.apply_after_plan or run.state not in {State.QUEUED, State.PLANNING}


def _wake_the_next(session: Session, run: Run) -> None:
    """A run that makes way: ring for the oldest of each policy that may have waited for it.

    The oldest of all may wait for something else; of one policy, nobody begins before its oldest.
    """
    moment = database.now(session)
    for waiting in session.scalars(_NEXT, {"run_id": run.id, "policy": run.policy}):
        ring(session, waiting, max(moment, waiting.not_before or moment))


# Asked at every move of a run, and so built once: that takes longer than to ask.
_THIS: BindParameter[int] = bindparam("run_id")
_SAME_POLICY = Run.policy == bindparam("policy")
_RIVALS = or_(_SAME_POLICY, shares_a_collection(_THIS))
_LOCK_RIVALS = select(Run.id).where(_RIVALS, Run.state.in_(BUSY)).order_by(Run.id).with_for_update()
_AT_WORK = Run.state.in_(BUSY - {State.QUEUED})
_EARLIER = and_(Run.state == State.QUEUED, Run.id < _THIS)
_WRITING = or_(
    Run.state.in_((State.APPLYING, State.UNDOING)),
    and_(Run.state == State.PLANNING, Run.apply_after_plan),
)
_OTHERS = select(Run).where(Run.id != _THIS).order_by(Run.id)
_FIRST = and_(_SAME_POLICY, or_(_AT_WORK, _EARLIER))
_BEFORE_IT = _OTHERS.where(_FIRST)
_IN_ITS_WAY = _OTHERS.where(or_(_FIRST, and_(shares_a_collection(_THIS), _WRITING)))
_OLDEST = (
    select(func.min(Run.id))
    .where(Run.state == State.QUEUED, Run.inline.is_(False), Run.id != _THIS, _RIVALS)
    .group_by(Run.policy)
)
_NEXT = select(Run).where(Run.id.in_(_OLDEST)).order_by(Run.id)
