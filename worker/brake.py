"""The brake: one switch, for everything or for one policy, that stops all change.

It is asked for in the transaction before every batch. Plans change nothing and go on.
"""

from sqlalchemy import ColumnElement, Select, bindparam, or_, select
from sqlalchemy.orm import Session

from worker.tables import Brake

EVERY_POLICY = "*"


def _pulled(everyone: ColumnElement[bool]) -> Select[Brake]:
    """A policy's own brake before the one for all."""
    own = Brake.policy == bindparam("policy")
    return select(Brake).where(or_(own, everyone)).order_by(Brake.policy.desc()).limit(1)


_PULLED = _pulled(Brake.policy == EVERY_POLICY)
_PULLED_FOR_SECURITY = _pulled((Brake.policy == EVERY_POLICY) & Brake.everything)


def standing(session: Session, policy: str, *, is_security: bool) -> Brake | None:
    """The brake that stops this policy, its own before the one for all; None if none does.

    The one for all spares security jobs, unless it was pulled for everything.
    """
    query = _PULLED_FOR_SECURITY if is_security else _PULLED
    return session.scalars(query, {"policy": policy}).first()


def in_words(brake: Brake) -> str:
    """Who pulled it and why, and the command that releases it."""
    who, since, why = brake.actor, f"{brake.at:%Y-%m-%d %H:%M:%S} UTC", brake.reason
    if brake.policy == EVERY_POLICY:
        return (
            f"the brake for all policies, pulled by {who} at {since}: {why}; "
            "`tend brake release` lets it go on"
        )
    return (
        f"the brake for its policy, pulled by {who} at {since}: {why}; "
        f"`tend brake release --policy {brake.policy}` lets it go on"
    )
