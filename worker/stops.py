"""What may stop a run before its next batch, asked in the control database."""

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy.orm import Session

from policies.models import Policy
from worker import brake, database, windows
from worker.registry import job_of


@dataclass(frozen=True)
class Stop:
    """What a run has to wait for, in words, and until when if that is known."""

    why: str
    until: datetime | None = None


def standing(session: Session, policy: Policy) -> Stop | None:
    """What keeps runs of this policy from changing anything now; None if nothing does."""
    pulled = brake.standing(session, policy.name, is_security=job_of(policy).security)
    if pulled is not None:
        return Stop(brake.in_words(pulled))
    if policy.window is None:
        return None
    moment = database.now(session)
    if policy.window.is_open(moment):
        return None
    opens = policy.window.opens_after(moment)
    return Stop(windows.in_words(policy.window, opens), opens)
