"""Firing: every slot of every schedule becomes exactly one row, a run or `skipped`.

Any number of schedulers may fire at once. They take turns at the policy's cursor, and a slot
that already has its row is done; nothing here depends on who was first.
"""

import hashlib
from collections.abc import Iterable
from datetime import datetime, timedelta
from itertools import islice

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from policies.models import Policy, Schedule
from worker import identity, runs
from worker.database import Database
from worker.registry import is_task
from worker.runs import Request
from worker.slots import due_slots
from worker.states import BUSY, State
from worker.tables import Run, ScheduleCursor, Switch

MAX_SLOTS = 500
"""Per policy, call and transaction; the next call goes on where this one ended."""
GRACE = timedelta(seconds=60)
"""With `catchup: skip`, a slot may be this late and still fire."""


def fire_due(db: Database, policies: Iterable[Policy], environment: str, now: datetime) -> int:
    """Turn the slots that have come due into rows; returns how many runs were queued.

    A schedule that was never seen, or whose text has changed, starts anew from `now`.
    """
    with db.transaction() as session:
        cursors = {cursor.policy: cursor for cursor in session.scalars(select(ScheduleCursor))}
    fired = 0
    for policy in policies:
        cursor = cursors.get(policy.name)
        if policy.schedule is not None and _has_work(cursor, policy.schedule, now):
            with db.transaction() as session:
                fired += _fire(session, policy, policy.schedule, environment, now)
        elif policy.schedule is None and cursor is not None:
            with db.transaction() as session:
                session.execute(delete(ScheduleCursor).where(ScheduleCursor.policy == policy.name))
    return fired


def _has_work(cursor: ScheduleCursor | None, schedule: Schedule, now: datetime) -> bool:
    if cursor is None or cursor.schedule != schedule.model_dump_json():
        return True
    return next(due_slots(schedule, cursor.through, now), None) is not None


def _fire(
    session: Session, policy: Policy, schedule: Schedule, environment: str, now: datetime
) -> int:
    cursor = _locked_cursor(session, policy.name, schedule.model_dump_json(), now)
    if cursor is None:
        return 0
    slots = list(islice(due_slots(schedule, cursor.through, now), MAX_SLOTS + 1))
    fired = 0
    for slot in _without_row(session, policy, slots[:MAX_SLOTS]):
        skipped = _why_not(session, policy, slot, now, is_newest=slot == slots[-1])
        if skipped and is_task(policy):
            continue  # one look sees what the one before it would have seen
        runs.create(session, _request(session, policy, environment, slot), skipped=skipped)
        fired += skipped is None
    cursor.through = max(slots[:MAX_SLOTS], default=cursor.through)
    return fired


def _locked_cursor(
    session: Session, policy: str, schedule: str, now: datetime
) -> ScheduleCursor | None:
    """The cursor, ours until the transaction ends; None if the schedule has just begun."""
    cursor = session.get(ScheduleCursor, policy, with_for_update=True)
    if cursor is None:
        try:
            with session.begin_nested():
                session.add(ScheduleCursor(policy=policy, schedule=schedule, through=now))
        except IntegrityError:
            return None  # another scheduler saw it first, and its cursor stands
        return None
    if cursor.schedule != schedule:
        cursor.schedule = schedule
        cursor.through = now
        return None
    return cursor


def _without_row(session: Session, policy: Policy, slots: list[datetime]) -> list[datetime]:
    """A cursor that was set back, by a changed schedule or clock, meets slots that are done."""
    done = set(
        session.scalars(
            select(Run.scheduled_for).where(Run.policy == policy.name, Run.scheduled_for.in_(slots))
        )
    )
    return [slot for slot in slots if slot not in done]


def _why_not(
    session: Session, policy: Policy, slot: datetime, now: datetime, *, is_newest: bool
) -> str | None:
    switch = session.get(Switch, policy.name)
    if switch is not None and switch.schedule_paused:
        return f"schedule paused by {switch.actor}: {switch.reason}"
    if policy.catchup == "all":
        return None
    late = now - slot
    if late > GRACE if policy.catchup == "skip" else not is_newest:
        return f"missed: {late.total_seconds():.0f} s late, catchup is {policy.catchup}"
    busy = session.scalars(
        select(Run)
        .where(Run.policy == policy.name, Run.state.in_(BUSY | {State.AWAITING_APPROVAL}))
        .order_by(Run.id)
        .limit(1)
    ).first()
    return f"r-{busy.id} is still {busy.state.replace('_', ' ')}" if busy is not None else None


def _request(session: Session, policy: Policy, environment: str, slot: datetime) -> Request:
    switch = session.get(Switch, policy.name)
    return Request(
        policy=policy,
        environment=environment,
        trigger="schedule",
        actor=identity.service("scheduler"),
        reason="scheduled",
        is_look=is_task(policy),
        apply_after_plan=switch is not None and switch.enabled_version == policy.version,
        scheduled_for=slot,
        not_before=_start(policy, slot),
    )


def _start(policy: Policy, slot: datetime) -> datetime | None:
    """The slot and its jitter, which every scheduler computes alike."""
    if policy.schedule is None or policy.schedule.jitter is None:
        return None
    digest = hashlib.sha256(f"{policy.name} {slot.isoformat()}".encode()).digest()
    return slot + policy.schedule.jitter.delta * (int.from_bytes(digest[:8]) / 2**64)
