"""Policies: what they say and where that is from, what changed, when they fire, what they did."""

from collections import defaultdict
from datetime import date, datetime, timedelta
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from policies.models import Policy
from worker import comparing, database, operations
from worker.console.pages import plots
from worker.console.pages.plots import Plot
from worker.console.pages.run_rows import rows
from worker.console.pages.visiting import Posted, Visit, Visiting
from worker.errors import PolicyChanged
from worker.slots import next_slot
from worker.switches import next_fire, state_of
from worker.tables import Chunk, Entry, Run, Switch
from worker.targets.kinds import is_served

router = APIRouter(include_in_schema=False)

FIRES = 10
RUNS = 10
VERSIONS = 20
DAYS = 30


@router.get("/policies")
def policies(visit: Visiting) -> HTMLResponse:
    loaded = sorted((each.policy for each in visit.here.policies()), key=lambda one: one.name)
    with visit.here.database.reading() as session:
        moment = database.now(session)
        found = [_row(visit, session, policy, moment) for policy in loaded]
    return visit.page("policies.html", found=found)


@router.get("/policies/{policy}")
def policy(visit: Visiting, policy: str) -> HTMLResponse:
    loaded = visit.here.policies().get(policy)
    wanted = loaded.policy
    values = dict(comparing.flat(wanted.model_dump(mode="json"), ""))
    with visit.here.database.reading() as session:
        moment = database.now(session)
        former = comparing.former(session, wanted.name)
        newest = select(Run).where(Run.policy == policy).order_by(Run.id.desc()).limit(RUNS)
        context: dict[str, Any] = {
            "it": _row(visit, session, wanted, moment),
            "policy": wanted,
            "values": [(key, values[key], origin) for key, origin in loaded.origins.items()],
            "former": former.as_json() if former is not None else None,
            "changes": comparing.changes(former.text, wanted.text) if former is not None else [],
            "versions": comparing.versions(session, wanted.name, VERSIONS),
            "fires": _fires(wanted, moment),
            "runs": rows(session, newest),
            "switches": _switches(session, policy),
            "plot": _plot(session, policy, moment),
        }
    return visit.page("policy.html", **context)


@router.post("/policies/{policy}/enable")
def enable(posted: Posted, policy: str) -> Response:
    """The text that was read: another one that is in force meanwhile is not enabled unread."""
    person = posted.person("enable")
    here = posted.visit.here
    wanted = here.policies().get(policy).policy
    if wanted.version != posted.form.get("version"):
        raise PolicyChanged(f"The text of {policy} was changed meanwhile; load the page again.")
    operations.enable(here.database, wanted, person)
    return posted.done(f"/policies/{policy}")


@router.post("/policies/{policy}/disable")
def disable(posted: Posted, policy: str) -> Response:
    person = posted.person("disable")
    here = posted.visit.here
    operations.disable(here.database, here.policies().get(policy).policy, person)
    return posted.done(f"/policies/{policy}")


def _row(visit: Visit, session: Session, policy: Policy, moment: datetime) -> dict[str, Any]:
    switch = session.get(Switch, policy.name)
    served = is_served(visit.here.settings, policy)
    newest = select(Run).where(Run.policy == policy.name).order_by(Run.id.desc()).limit(1)
    enabled = switch.enabled_version if switch is not None else None
    return {
        "name": policy.name,
        "job": policy.job,
        "description": policy.description,
        "state": state_of(policy, switch) if served else "no target",
        "next_fire": next_fire(policy, switch, moment) if served else None,
        "is_another_text": enabled not in {None, policy.version},
        "last": next(iter(rows(session, newest)), None),
    }


def _fires(policy: Policy, after: datetime) -> list[datetime]:
    """The next due times, whether or not they change data."""
    if policy.schedule is None:
        return []
    schedule, moment, found = policy.schedule, after, []
    for _ in range(FIRES):
        slot = next_slot(schedule, moment)
        if slot is None:
            break
        found.append(slot)
        moment = slot
    return found


def _switches(session: Session, policy: str) -> list[Entry]:
    """Who enabled and disabled which text."""
    actions = ("policy_enabled", "policy_disabled", "schedule_paused")
    query = select(Entry).where(Entry.policy == policy, Entry.action.in_(actions))
    return list(session.scalars(query.order_by(Entry.id.desc()).limit(VERSIONS)))


def _plot(session: Session, policy: str, moment: datetime) -> Plot | None:
    """What the policy changed in each of the last days."""
    days = [moment.date() - timedelta(days=back) for back in reversed(range(DAYS))]
    since = datetime.combine(days[0], datetime.min.time(), moment.tzinfo)
    day = func.date(Chunk.finished_at)
    found = session.execute(
        select(day, func.sum(Chunk.changed))
        .join(Run, Run.id == Chunk.run_id)
        .where(Run.policy == policy, Run.created_at >= since, Chunk.direction == "apply")
        .where(Chunk.finished_at.is_not(None), Chunk.changed > 0)
        .group_by(day)
    )
    counts: dict[str, dict[date, int]] = defaultdict(dict)
    for when, changed in found:
        counts["records changed"][date.fromisoformat(str(when))] = int(changed)
    if not counts:
        return None
    return plots.bars(f"Records that {policy} changed each day of the last {DAYS}", days, counts)
