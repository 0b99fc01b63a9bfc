"""What may stop a run before its next batch, asked in the control database."""

from sqlalchemy.orm import Session

from policies.models import Policy
from worker import brake
from worker.registry import job_of


def standing(session: Session, policy: Policy) -> str | None:
    """What a run of this policy has to wait for before it changes anything, or None."""
    pulled = brake.standing(session, policy.name, is_security=job_of(policy).security)
    return brake.in_words(pulled) if pulled is not None else None
