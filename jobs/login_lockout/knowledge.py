"""What the family knows already: decisions that stand, pardons, and networks that are spared."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from jobs.login_lockout.addresses import Network, network_of
from jobs.login_lockout.records import opened, pardon_name
from jobs.login_lockout.tables import LockoutDecision, LockoutPardon
from jobs.login_lockout.windows import Facts, Span
from jobs.task import Vault


@dataclass(frozen=True)
class Known:
    """What was decided and said before."""

    facts: Facts
    allowed: Sequence[tuple[Network, datetime]]
    """Networks that a person allowed, and until when."""
    names: frozenset[str]
    """The names of the decisions that were made."""
    locks_in_the_hour: int


def known(session: Session, vault: Vault, policy: str, as_of: datetime, back: timedelta) -> Known:
    """What bears on events of the last `back`."""
    recent = or_(
        LockoutDecision.until > as_of - back,
        LockoutDecision.at > as_of - back,
        LockoutDecision.lifted_at.is_(None),
    )
    rows = session.scalars(select(LockoutDecision).where(recent)).all()
    pardons = session.scalars(select(LockoutPardon)).all()
    users: dict[str, datetime] = {}
    addresses: dict[str, datetime] = {}
    allowed = []
    for pardon in pardons:
        subject = vault.open(pardon.subject, pardon_name(pardon.kind)).decode()
        if pardon.kind == "allow":
            allowed.append((network_of(subject), pardon.until))
        else:
            pardoned = users if pardon.kind == "user" else addresses
            pardoned[subject] = max(pardon.at, pardoned.get(subject, pardon.at))
    hour = as_of - timedelta(hours=1)
    locks = sum(
        1 for row in rows if row.kind == "lock" and row.why == "failures" and row.made_at > hour
    )
    spans = tuple(_span(vault, row) for row in rows)
    names = frozenset(row.name for row in rows if row.policy == policy)
    return Known(Facts(spans, users, addresses), allowed, names, locks)


def _span(vault: Vault, row: LockoutDecision) -> Span:
    evidence = opened(vault, row).evidence
    is_alert = row.kind == "alert"
    until = row.until
    if row.lifted_at is not None and not is_alert:
        until = min(until, row.lifted_at)
    other = evidence["address"] if row.kind == "lock" else None
    kind = row.why if is_alert else row.kind
    return Span(kind, evidence["subject"], row.since, row.at, until, other)
