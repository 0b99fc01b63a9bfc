"""Sentry's cron monitors: each scheduled run checks in when it begins and when it is over."""

from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal

from policies.models import Schedule
from worker import sentry
from worker.database import Database
from worker.registry import frozen_policy
from worker.states import State
from worker.tables import Run

Status = Literal["in_progress", "ok", "error"]
STATUS: Mapping[State, Status] = MappingProxyType(
    {
        **dict.fromkeys((State.PLANNING, State.APPLYING, State.VERIFYING), "in_progress"),
        **dict.fromkeys((State.SUCCEEDED, State.PLANNED, State.AWAITING_APPROVAL), "ok"),
        **dict.fromkeys((State.FAILED, State.REFUSED), "error"),
    }
)
"""What a state means to a monitor; of the others it hears nothing.

A plan that waits for a person is what the schedule was to bring about: alerts say that it waits.
"""
_MARGIN_MINUTES = 10
_LONGEST_MINUTES = 24 * 60


def check_in(db: Database, run_id: int, before: State) -> None:
    """Say how a scheduled run stands, if that has changed and Sentry listens."""
    if not sentry.is_on():
        return
    with db.reading() as session:
        run = session.get(Run, run_id)
    if run is None or run.trigger != "schedule":
        return
    status = STATUS.get(State(run.state))
    if status is not None and (status != STATUS.get(before) or before == State.QUEUED):
        sentry.check_in(run.policy, run.token, status, _monitor(run))


def _monitor(run: Run) -> dict[str, object] | None:
    """How Sentry knows when the next one is due; None where it knows no such schedule."""
    schedule = frozen_policy(run.policy_text).schedule
    when = _when(schedule) if schedule is not None else None
    if schedule is None or when is None:
        return None
    jitter = schedule.jitter.delta.total_seconds() if schedule.jitter is not None else 0
    return {
        "schedule": when,
        "timezone": schedule.timezone,
        "checkin_margin": _MARGIN_MINUTES + int(jitter // 60),
        "max_runtime": _LONGEST_MINUTES,
    }


def _when(schedule: Schedule) -> dict[str, object] | None:
    if schedule.cron is not None:
        return {"type": "crontab", "value": schedule.cron}
    seconds = schedule.every.delta.total_seconds() if schedule.every is not None else 0
    if seconds % 60:
        return None  # its smallest unit is a minute
    return {"type": "interval", "value": int(seconds // 60), "unit": "minute"}
