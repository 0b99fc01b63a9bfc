"""What may stop a run before its next batch, asked in the control database."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from policies.models import Policy
from worker import brake, database, windows
from worker.registry import any_job_of, frozen_policy
from worker.tables import Run


@dataclass(frozen=True)
class Stop:
    """What a run has to wait for, in words, and until when if that is known."""

    why: str
    until: datetime | None = None


def of_run(session: Session, run: Run) -> Stop | None:
    """What keeps this run from changing anything now: brake, window, or what its target said."""
    stop = standing(session, frozen_policy(run.policy_text))
    if stop is not None or run.throttled_until is None:
        return stop
    why = throttle_in_words(run)
    return Stop(why, run.throttled_until) if run.throttled_until > database.now(session) else None


def throttle_in_words(run: Run) -> str:
    again = f"{run.throttled_until:%H:%M:%S} UTC"
    why = (run.throttle or {}).get("why")
    return f"its target, asked again at {again}: {why}"


def standing(session: Session, policy: Policy) -> Stop | None:
    """What keeps runs of this policy from changing anything now; None if nothing does."""
    pulled = brake.standing(session, policy.name, is_security=any_job_of(policy).security)
    if pulled is not None:
        return Stop(brake.in_words(pulled))
    if policy.window is None:
        return None
    moment = database.now(session)
    if policy.window.is_open(moment):
        return None
    opens = policy.window.opens_after(moment)
    return Stop(windows.in_words(policy.window, opens), opens)
