"""The list of runs: the newest first, a page at a time, live."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse
from sqlalchemy import select

from policies.errors import TendError
from worker import runs as store
from worker.console.pages.run_rows import rows
from worker.console.pages.visiting import LookingOn, Visit, Visiting
from worker.states import State
from worker.tables import Run

router = APIRouter(include_in_schema=False)

LISTED = 30


@router.get("/runs")
def runs(visit: Visiting, policy: str = "", state: str = "", before: str = "") -> HTMLResponse:
    return visit.page(
        "runs.html",
        policies=_policies(visit),
        states=[str(each) for each in State],
        **_listed(visit, policy, state, before),
    )


@router.get("/runs/rows")
def live(visit: LookingOn, policy: str = "", state: str = "") -> HTMLResponse:
    """The newest rows alone, for the page asks for them again and again."""
    return HTMLResponse(visit.html("runs.html#rows", **_listed(visit, policy, state, "")))


def _listed(visit: Visit, policy: str, state: str, before: str) -> dict[str, Any]:
    query = select(Run).order_by(Run.id.desc()).limit(LISTED + 1)
    if policy:
        query = query.where(Run.policy == policy)
    if state in set(State):
        query = query.where(Run.state == state)
    if before:
        query = query.where(Run.id < store.parse_id(before))
    with visit.here.database.reading() as session:
        found = rows(session, query)
    return {
        "found": found[:LISTED],
        "next": found[LISTED - 1]["id"] if len(found) > LISTED else None,
        "policy": policy,
        "chosen": state,
        "before": before,
    }


def _policies(visit: Visit) -> list[str]:
    """To choose from; files that cannot be read must not hide the runs."""
    try:
        return sorted(visit.here.policies().names)
    except TendError:
        return []
