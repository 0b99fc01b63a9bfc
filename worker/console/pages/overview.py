"""The first page: is everything all right?"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from sqlalchemy import and_, func, or_, select
from sqlalchemy.orm import Session

from worker import braking, database
from worker.console.pages.outlook import Lookout, Outlook
from worker.console.pages.run_rows import rows
from worker.console.pages.visiting import LookingOn, Visit, Visiting
from worker.reconciler import WORKER_GONE
from worker.states import UNFINISHED, State
from worker.tables import Alert, Process, Run

router = APIRouter(include_in_schema=False)

DAY = timedelta(days=1)
SHOWN = 8
_ENOUGH = 1_000
_FAILED = (State.FAILED, State.REFUSED)
_lookout = Lookout()


@dataclass(frozen=True)
class Concern:
    """Something that a person should look at."""

    says: str
    href: str
    is_bad: bool = True


@router.get("/")
def overview(visit: Visiting) -> HTMLResponse:
    return visit.page("overview.html", **_look(visit))


@router.get("/overview/now")
def now(visit: LookingOn) -> HTMLResponse:
    """The same without what does not change, for the page asks for it again and again."""
    return HTMLResponse(visit.html("overview.html#now", **_look(visit)))


def _look(visit: Visit) -> dict[str, Any]:
    latest, problem = _lookout.latest(visit.here)
    with visit.here.database.reading() as session:
        moment = database.now(session)
        seen = {
            "now": moment,
            "processes": {kind: _alive(session, kind, moment) for kind in ("scheduler", "worker")},
            "brakes_pulled": len(braking.pulled(session)),
            "alerts": _alerts(session),
            "waiting": rows(session, _newest(Run.state == State.AWAITING_APPROVAL)),
            "at_work": rows(session, _newest(_is_at_work())),
            "failures": rows(session, _newest(*_failed_since(moment - DAY))),
            "failed": _count(session, *_failed_since(moment - DAY)),
        }
    overdue = _overdue(latest)
    return {
        **seen,
        "outlook": latest,
        "problem": problem,
        "overdue": overdue,
        "concerns": _concerns(seen, latest, problem),
    }


def _concerns(seen: dict[str, Any], latest: Outlook | None, problem: str | None) -> list[Concern]:
    """What is not as it should be, the worst first."""
    found = [
        Concern(f"No {kind} is running; start one with `tend {kind}`.", "/")
        for kind, alive in seen["processes"].items()
        if alive["count"] == 0
    ]
    if latest is not None:
        found += [
            Concern(f"{kind}: {why}", "/")
            for kind, why in latest.targets.items()
            if why is not None
        ]
        if latest.queue_problem is not None:
            found.append(Concern(latest.queue_problem, "/"))
    if problem is not None:
        found.append(Concern(f"Targets could not be looked at: {problem}", "/"))
    if seen["brakes_pulled"]:
        found.append(Concern("A brake is pulled: what it stops changes nothing.", "/brake"))
    if seen["alerts"]:
        found.append(Concern(f"{_many(seen['alerts'], 'alert')} not over yet.", "/alerts"))
    if seen["failed"]:
        many = _many(seen["failed"], "run")
        found.append(Concern(f"{many} failed or refused in the last day.", "/runs?state=failed"))
    if seen["waiting"]:
        many = _many(len(seen["waiting"]), "plan")
        href = "/runs?state=awaiting_approval"
        found.append(Concern(f"{many} waiting for approval.", href, is_bad=False))
    return found


def _overdue(latest: Outlook | None) -> list[dict[str, Any]]:
    """The policies with overdue records, or with a reason why nobody knows."""
    if latest is None:
        return []
    found = [
        row for row in latest.policies if row["problem"] or (row["overdue"] or {}).get("count")
    ]
    return sorted(found, key=lambda row: -(row["overdue"] or {}).get("count", 0))


def _alive(session: Session, kind: str, moment: datetime) -> dict[str, Any]:
    count, newest = session.execute(
        select(
            func.count(Process.id).filter(Process.seen_at > moment - WORKER_GONE),
            func.max(Process.seen_at),
        ).where(Process.kind == kind)
    ).one()
    return {"count": count, "seen_at": newest}


def _alerts(session: Session) -> int:
    return session.scalar(select(func.count(Alert.id)).where(Alert.cleared_at.is_(None))) or 0


def _newest(*conditions: Any) -> Any:
    return select(Run).where(*conditions).order_by(Run.id.desc()).limit(SHOWN)


def _is_at_work() -> Any:
    by_hand = and_(Run.state == State.PLANNED, Run.trigger == "manual")
    return or_(Run.state.in_({*UNFINISHED, State.PAUSED}), by_hand)


def _failed_since(since: datetime) -> tuple[Any, ...]:
    return Run.state.in_(_FAILED), Run.created_at >= since


def _count(session: Session, *conditions: Any) -> int:
    some = select(Run.id).where(*conditions).limit(_ENOUGH).subquery()
    return session.scalar(select(func.count()).select_from(some)) or 0


def _many(count: int, what: str) -> str:
    return f"{count:,} {what}" if count == 1 else f"{count:,} {what}s"
