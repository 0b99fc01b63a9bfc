"""`tend lockout report`: the locks of a period, held against PCI DSS 8.3.4."""

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select

from jobs.host import Desk, Host
from jobs.login_lockout.records import stamp
from jobs.login_lockout.replaying import moment_of
from jobs.login_lockout.tables import LockoutDecision

Document = dict[str, Any]

MOST_ATTEMPTS = 10
SHORTEST = timedelta(minutes=30)
"""8.3.4: locked after ten attempts at most, for 30 minutes at least or until a person says."""


def report(host: Host, desk: Desk, period: tuple[str, str], *, as_json: bool) -> None:
    """Print what was decided in a period, in numbers, and each lock that 8.3.4 asks about."""
    begin, end = (moment_of(host, text) for text in period)
    with desk.context.state.transaction() as session:
        within = LockoutDecision.at >= begin, LockoutDecision.at < end
        rows = session.scalars(select(LockoutDecision).where(*within).order_by(LockoutDecision.id))
        found = list(rows)
    document = {"from": stamp(begin), "to": stamp(end), **_counted(found)}
    if as_json:
        host.print_json(document)
        return
    kinds = ", ".join(f"{count:,} {kind}s" for kind, count in document["decisions"].items())
    host.heading(desk.environment, kinds or "nothing was decided")
    host.facts(
        [
            ("attempts before a lock, at most", _text(document["most_attempts"])),
            ("shortest lock", _text(document["shortest_minutes"], " minutes")),
            ("policies", ", ".join(document["policies"]) or None),
        ]
    )
    if document["exceptions"]:
        names = ("id", "at", "attempts", "why", "lifted_by", "lift_reason")
        rows_of = [[_text(each[name]) or "" for name in names] for each in document["exceptions"]]
        host.table(names, rows_of)


def _counted(found: list[LockoutDecision]) -> Document:
    """Decisions by kind; of the locks the extremes, and those that are not as 8.3.4 asks."""
    kinds = sorted({each.kind for each in found})
    locks = [each for each in found if each.kind == "lock"]
    shortest = min((each.until - each.at for each in locks), default=None)
    return {
        "decisions": {kind: sum(each.kind == kind for each in found) for kind in kinds},
        "policies": sorted({f"{each.policy} {each.policy_version[:12]}" for each in found}),
        "most_attempts": max((each.attempts for each in locks), default=None),
        "shortest_minutes": None if shortest is None else int(shortest.total_seconds() // 60),
        "exceptions": [_exception(each, why) for each in locks if (why := _why(each))],
    }


def _why(lock: LockoutDecision) -> str | None:
    """What a reviewer asks about; None for a lock that is as it should be."""
    if lock.attempts > MOST_ATTEMPTS:
        return "more than 10 attempts"
    if lock.until - lock.at < SHORTEST:
        return "shorter than 30 minutes"
    if lock.confirmed_at is None:
        return "not confirmed in the target"
    if lock.lifted_by is not None and _is_early(lock.lifted_at, lock.until):
        return "lifted early"
    return None


def _is_early(lifted_at: datetime | None, until: datetime) -> bool:
    return lifted_at is not None and lifted_at < until


def _exception(lock: LockoutDecision, why: str) -> Document:
    return {
        "id": lock.id,
        "at": stamp(lock.at),
        "until": stamp(lock.until),
        "attempts": lock.attempts,
        "why": why,
        "lifted_at": stamp(lock.lifted_at),
        "lifted_by": lock.lifted_by,
        "lift_reason": lock.lift_reason,
    }


def _text(value: object, unit: str = "") -> str | None:
    return None if value is None else f"{value}{unit}"
