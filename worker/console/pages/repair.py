"""A new repair: choose a policy, read what it would change, then apply that very plan."""

from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from worker.console.pages.changing import requested
from worker.console.pages.visiting import Posted, Visiting
from worker.errors import UsageError
from worker.narrowing import narrowing
from worker.targets.kinds import is_served

router = APIRouter(include_in_schema=False)


@router.get("/repair")
def repair(visit: Visiting, policy: str = "") -> HTMLResponse:
    visit.must("plan")
    settings = visit.here.settings
    found = [each.policy for each in visit.here.policies() if is_served(settings, each.policy)]
    return visit.page(
        "repair.html", policies=sorted(found, key=lambda one: one.name), chosen=policy
    )


@router.post("/repair")
def plan(posted: Posted) -> Response:
    person = posted.person("plan")
    policy = posted.visit.here.policies().get(posted.form.get("policy", "")).policy
    run_id = requested(posted, policy, person, _narrowed(posted.form))
    return posted.done(f"/runs/r-{run_id}")


def _narrowed(form: Any) -> dict[str, Any]:
    limit = form.get("limit", "").strip()
    if limit and not (limit.isdecimal() and int(limit) > 0):
        raise UsageError(f"The limit is a number of records, 1 or more, not '{limit}'.")
    return narrowing(form.get("where", "").strip() or None, int(limit) if limit else None)
