"""The brake: what is pulled, what that stops, pulling it and letting it go."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from policies.errors import TendError
from worker import braking
from worker.brake import EVERY_POLICY
from worker.console.pages.changing import ring
from worker.console.pages.visiting import Post, Posted, Visit, Visiting

router = APIRouter(include_in_schema=False)


@router.get("/brake")
def brake(visit: Visiting) -> HTMLResponse:
    with visit.here.database.reading() as session:
        pulled = [
            {
                "policy": None if each.policy == EVERY_POLICY else each.policy,
                "everything": each.everything,
                "actor": each.actor,
                "reason": each.reason,
                "at": each.at,
            }
            for each in braking.pulled(session)
        ]
        runs = braking.affected(session)
    return visit.page("brake.html", pulled=pulled, runs=runs, policies=_names(visit))


@router.post("/brake/pull")
def pull(posted: Posted) -> Response:
    person, policy = posted.person("brake pull"), _policy(posted)
    everything = policy is None and "everything" in posted.form
    braking.pull(posted.visit.here.database, policy, person, everything=everything)
    return posted.done("/brake")


@router.post("/brake/release")
def release(posted: Posted) -> Response:
    person, here = posted.person("brake release"), posted.visit.here
    braking.release(here.database, posted.form.get("policy") or None, person, everything=False)
    ring(here)
    return posted.done("/brake")


def _policy(posted: Post) -> str | None:
    """None for all of them; a name that nobody knows must not look like a brake."""
    name = posted.form.get("policy", "")
    return posted.visit.here.policies().get(name).policy.name if name else None


def _names(visit: Visit) -> list[str]:
    """Files that cannot be read must not keep anybody from braking everything."""
    try:
        return sorted(visit.here.policies().names)
    except TendError:
        return []
