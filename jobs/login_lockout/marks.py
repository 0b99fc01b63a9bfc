"""A position for looks that find nothing: while all is as the last one saw it, nothing is decided.

An event that arrives late has an old time and lies behind every position. So what is kept is no
position but a tally of all events of the window, which each event that arrives changes.
"""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from jobs.login_lockout.options import CollectionSource, LockoutOptions
from jobs.login_lockout.tables import (
    LockoutDecision,
    LockoutFile,
    LockoutMark,
    LockoutPardon,
)
from jobs.moments import milliseconds
from jobs.task import TaskContext
from policies.models import Policy

HOLDS = timedelta(seconds=60)
"""Then everything is read anew in any case: an account may have been made meanwhile."""
_MILLISECOND = timedelta(milliseconds=1)
Tally = list[int]
"""How many events, and the sum of their milliseconds since a moment, and of the squares."""


def tally(begin: datetime, moments: Iterable[datetime]) -> Tally:
    """That of these events, which is what the target counts of the same ones."""
    start = milliseconds(begin)
    found = [0, 0, 0]
    for at in moments:
        after = (at - start) // _MILLISECOND
        found = [found[0] + 1, found[1] + after, found[2] + after * after]
    return found


def knowledge(session: Session, policy: str) -> list[Any]:
    """What was decided, lifted, said and read of logs so far: it changes with each of them."""
    decided = select(
        func.count(),
        func.max(LockoutDecision.id),
        func.count(LockoutDecision.lifted_at),
        func.max(LockoutDecision.lifted_at),
    )
    count, newest, lifted, lifted_at = session.execute(decided).one()
    pardons = session.execute(select(func.count(), func.max(LockoutPardon.id))).one()
    logs = select(func.sum(LockoutFile.version)).where(LockoutFile.policy == policy)
    at = None if lifted_at is None else lifted_at.isoformat()
    return [count, newest, lifted, at, *pardons, int(session.scalar(logs) or 0)]


def stands(ctx: TaskContext, policy: Policy, options: LockoutOptions, end: datetime) -> bool:
    """Whether nothing has come, been decided or been said since the last look found nothing."""
    with ctx.state.transaction() as session:
        mark = session.get(LockoutMark, policy.name)
        if mark is None or mark.policy_version != policy.version:
            return False
        is_fresh = timedelta() <= ctx.as_of - mark.at <= HOLDS
        if not is_fresh or mark.knowledge != knowledge(session, policy.name):
            return False
        begin, tallies = mark.begin, mark.tallies
    sources = [each for each in options.sources if isinstance(each, CollectionSource)]
    return tallies == [
        list(ctx.documents.tally(source.collection, source.at, begin, end)) for source in sources
    ]


def keep(
    ctx: TaskContext,
    policy: Policy,
    begin: datetime,
    known: Sequence[Any],
    tallies: Sequence[Tally],
) -> None:
    """Write down what a look saw that found nothing; of two at once either will do."""
    mark = LockoutMark(
        policy=policy.name,
        policy_version=policy.version,
        begin=milliseconds(begin),
        at=ctx.as_of,
        knowledge=list(known),
        tallies=list(tallies),
    )
    with ctx.state.transaction() as session:
        session.merge(mark)
