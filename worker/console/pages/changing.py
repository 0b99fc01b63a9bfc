"""What people ask of a run: the same operations as the command line's, rung for at once."""

import structlog
from fastapi import APIRouter
from fastapi.responses import Response

from policies.models import Policy
from worker import approval, by_hand, guards, operations, runs
from worker.console.installation import Installation
from worker.console.pages.visiting import Post, Posted
from worker.errors import ForbiddenArrow
from worker.operations import Person

router = APIRouter(include_in_schema=False)

log = structlog.get_logger()


@router.post("/runs/{run}/apply")
def apply(posted: Posted, run: str) -> Response:
    """By the digest of the plan that was read: a plan is frozen, and it is that one."""
    run_id = runs.parse_id(run)
    person = posted.person("apply")
    here = posted.visit.here
    with here.database.reading() as session:
        digest = runs.get(session, run_id).digest
    if digest != posted.form.get("digest"):
        raise ForbiddenArrow(f"The plan of r-{run_id} is another one; load the page again.")
    operations.apply(here.database, run_id, _today(here, run_id), person, inline=False)
    return _go_on(posted, run_id)


@router.post("/runs/{run}/approve")
def approve(posted: Posted, run: str) -> Response:
    run_id, person, here = runs.parse_id(run), posted.person("approve"), posted.visit.here
    approval.approve(here.database, run_id, _today(here, run_id), person, inline=False)
    return _go_on(posted, run_id)


@router.post("/runs/{run}/reject")
def reject(posted: Posted, run: str) -> Response:
    run_id, person = runs.parse_id(run), posted.person("reject")
    approval.reject(posted.visit.here.database, run_id, person)
    return posted.done(f"/runs/r-{run_id}")


@router.post("/runs/{run}/override")
def override(posted: Posted, run: str) -> Response:
    """The first guard that still refuses; another one is asked for by itself."""
    run_id, person, here = runs.parse_id(run), posted.person("override"), posted.visit.here
    with here.database.reading() as session:
        refusing = guards.refusing(runs.get(session, run_id))
    guard = refusing[0] if refusing else "max_records"
    approval.override(here.database, run_id, guard, _today(here, run_id), person)
    return posted.done(f"/runs/r-{run_id}")


@router.post("/runs/{run}/pause")
def pause(posted: Posted, run: str) -> Response:
    run_id, person = runs.parse_id(run), posted.person("pause")
    operations.pause(posted.visit.here.database, run_id, person)
    return posted.done(f"/runs/r-{run_id}")


@router.post("/runs/{run}/resume")
def resume(posted: Posted, run: str) -> Response:
    run_id, person = runs.parse_id(run), posted.person("resume")
    operations.resume(posted.visit.here.database, run_id, person, inline=False)
    return _go_on(posted, run_id)


@router.post("/runs/{run}/cancel")
def cancel(posted: Posted, run: str) -> Response:
    """Fences that cannot be closed now, a worker closes."""
    run_id, person = runs.parse_id(run), posted.person("cancel")
    by_hand.cancel(posted.visit.here.engine(person.actor), run_id, person, log.warning)
    return posted.done(f"/runs/r-{run_id}")


@router.post("/runs/{run}/undo")
def undo(posted: Posted, run: str) -> Response:
    run_id, person = runs.parse_id(run), posted.person("undo")
    operations.undo(posted.visit.here.database, run_id, person, inline=False)
    return _go_on(posted, run_id)


def ring(here: Installation) -> None:
    """Wake the workers now; what was asked stands without Redis, too."""
    if here.settings.redis_url is not None:
        by_hand.ring(here.settings, here.database, log.warning)


def requested(posted: Post, policy: Policy, person: Person, narrowing: dict[str, object]) -> int:
    """Ask for a plan of a policy, which a worker makes."""
    here = posted.visit.here
    run_id = operations.request(
        here.database,
        policy,
        here.settings.env,
        person,
        apply_after_plan=False,
        inline=False,
        narrowing=narrowing,
    )
    ring(here)
    return run_id


def _go_on(posted: Post, run_id: int) -> Response:
    ring(posted.visit.here)
    return posted.done(f"/runs/r-{run_id}")


def _today(here: Installation, run_id: int) -> Policy:
    """The run's policy as it reads now."""
    with here.database.reading() as session:
        name = runs.get(session, run_id).policy
    return here.policies().get(name).policy
