"""Taking a run back: first what would return and what not, then the undo itself."""

from contextlib import nullcontext

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from worker import operations, runs
from worker.console.pages.visiting import Visiting
from worker.documents import undo_plan

router = APIRouter(include_in_schema=False)

CONFLICTS = 20


@router.get("/runs/{run}/undo")
def undo(visit: Visiting, run: str) -> HTMLResponse:
    """Raises `ForbiddenArrow` unless there may be something to take back."""
    visit.must("undo")
    with visit.here.database.reading() as session:
        found = runs.get(session, runs.parse_id(run))
        operations.may_undo(found, "undo")
    return visit.page("undo.html", run=f"r-{found.id}", policy=found.policy)


@router.get("/runs/{run}/undo/preview")
def preview(visit: Visiting, run: str) -> HTMLResponse:
    """What an undo would do now, asked of the target without writing anything anywhere."""
    visit.must("undo")
    here = visit.here
    engine = here.engine(visit.login.actor)
    plan = undo_plan.document(
        here.settings,
        here.database,
        runs.parse_id(run),
        None,
        CONFLICTS,
        lambda: nullcontext(engine),
    )
    return HTMLResponse(visit.html("undo_preview.html", plan=plan))
