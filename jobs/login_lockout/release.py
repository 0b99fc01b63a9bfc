"""`lockout_release`: accounts and addresses whose time is over are free again.

What counts is the moment that stands with each lock, not when anybody looks: what ran out while
nothing was running is released by the next run. A lock without such a moment is a person's.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from typing import Any, ClassVar, cast

from sqlalchemy import ColumnElement, and_, delete, func, or_, select, update

from jobs.base import Item, Outcomes
from jobs.login_lockout.options import ReleaseOptions
from jobs.login_lockout.records import alarm_cause
from jobs.login_lockout.tables import LockoutDecision, LockoutPardon
from jobs.task import CheckContext, PerformContext, TaskContext
from policies.models import Policy, PolicyOptions

ACCOUNT, ASKED_MORE, ADDRESS = "account", "step_up", "address"
DECISION, OLD = "decision", "old"
UNLOCKED = {"isLocked": False}
LOCK_DATES = ("lockedAt", "lockedUntil")
STEP_UP = "stepUpUntil"
"""Of an account: until then the application asks for more than a password."""


class LockoutRelease:
    """Lifts what has expired, and forgets decisions whose evidence is past its time."""

    name: ClassVar[str] = "lockout_release"
    Options: ClassVar[type[PolicyOptions]] = ReleaseOptions
    security: ClassVar[bool] = True
    mirror_action: ClassVar[str] = "lockout_release"
    mirror_count: ClassVar[str] = "releasedCount"

    def check(self, ctx: CheckContext, policy: Policy) -> None:
        options = cast(ReleaseOptions, policy.options)
        for collection in options.written:
            next(ctx.documents.find(collection, {}, ["_id"], limit=1), None)

    def questions(self, ctx: CheckContext, policy: Policy) -> Iterator[str]:  # noqa: ARG002 - it has none
        return iter(())

    def plan(self, ctx: TaskContext, policy: Policy) -> Iterator[Item]:
        options = cast(ReleaseOptions, policy.options)
        for user in ctx.documents.find(options.accounts, _locked(ctx.as_of), ["lockedUntil"]):
            yield Item([ACCOUNT, user["_id"]], {"lockedUntil": user["lockedUntil"]})
        for user in ctx.documents.find(options.accounts, _asked_more(ctx.as_of), [STEP_UP]):
            yield Item([ASKED_MORE, user["_id"]], {STEP_UP: user[STEP_UP]})
        fields = ["ipAddress", "expiresAt"]
        for entry in ctx.documents.find(options.blacklist, _blocked(options, ctx.as_of), fields):
            shown = {name: entry.get(name) for name in fields}
            yield Item([ADDRESS, entry["_id"]], shown)
        with ctx.state.transaction() as session:
            over = session.scalars(select(LockoutDecision.id).where(_over(ctx.as_of))).all()
            old = _old(options, ctx.as_of)
            count = session.scalar(select(func.count()).select_from(LockoutDecision).where(old))
        for number in over:
            yield Item([DECISION, number], {"decision": number})
        if count:
            yield Item([OLD, 0], {"decisions": count})

    def perform(self, ctx: PerformContext, policy: Policy, items: Sequence[Item]) -> Outcomes:
        options = cast(ReleaseOptions, policy.options)
        changed = sum(_release(ctx, options, *item.key) for item in items)
        return Outcomes(changed=changed, changed_since=len(items) - changed)


def _release(ctx: PerformContext, options: ReleaseOptions, kind: str, key: Any) -> bool:
    if kind == ACCOUNT:
        where = {"_id": key, **_locked(ctx.as_of)}
        return ctx.documents.update(options.accounts, where, UNLOCKED, LOCK_DATES)
    if kind == ASKED_MORE:
        where = {"_id": key, **_asked_more(ctx.as_of)}
        return ctx.documents.update(options.accounts, where, {}, (STEP_UP,))
    if kind == ADDRESS:
        where = {"_id": key, **_blocked(options, ctx.as_of)}
        return ctx.documents.delete(options.blacklist, where)
    with ctx.state.transaction() as session:
        if kind == DECISION:
            expired = update(LockoutDecision).where(LockoutDecision.id == key, _over(ctx.as_of))
            result = session.execute(expired.values(lifted_at=ctx.as_of, lifted_by="expired"))
            name = session.scalar(select(LockoutDecision.name).where(LockoutDecision.id == key))
            ctx.state.clear_alert(session, alarm_cause(name or ""))
        else:
            session.execute(delete(LockoutPardon).where(LockoutPardon.until < ctx.as_of))
            result = session.execute(delete(LockoutDecision).where(_old(options, ctx.as_of)))
        return bool(cast(Any, result).rowcount)


def _locked(moment: datetime) -> dict[str, Any]:
    return {"isLocked": True, "lockedUntil": {"$lte": moment}}


def _asked_more(moment: datetime) -> dict[str, Any]:
    return {STEP_UP: {"$lte": moment}}


def _blocked(options: ReleaseOptions, moment: datetime) -> dict[str, Any]:
    return {"reason": {"$in": list(options.reasons)}, "expiresAt": {"$lte": moment}}


def _over(moment: datetime) -> ColumnElement[bool]:
    return and_(LockoutDecision.lifted_at.is_(None), LockoutDecision.until <= moment)


def _old(options: ReleaseOptions, moment: datetime) -> ColumnElement[bool]:
    kept: timedelta = options.evidence.delta
    ended = or_(LockoutDecision.lifted_at.is_not(None), LockoutDecision.kind == "alert")
    return and_(ended, LockoutDecision.made_at < moment - kept)
