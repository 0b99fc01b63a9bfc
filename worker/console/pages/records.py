"""The records of a run, one by one: masked, unless an operator says why they must be seen."""

from collections.abc import Iterator
from itertools import islice
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from worker import listing, operations, runs
from worker.archive import ArchiveStore
from worker.console.pages.visiting import Posted, Visit, Visiting
from worker.keys import Keyring
from worker.listing import Became

router = APIRouter(include_in_schema=False)

LISTED = 100


@router.get("/runs/{run}/records")
def records(visit: Visiting, run: str, outcome: str = "") -> HTMLResponse:
    return _page(visit, runs.parse_id(run), outcome, is_revealed=False)


@router.post("/runs/{run}/records")
def reveal(posted: Posted, run: str) -> HTMLResponse:
    """On record before anything is shown."""
    run_id, person = runs.parse_id(run), posted.person("records --reveal")
    outcome = posted.form.get("outcome", "")
    operations.reveal(posted.visit.here.database, run_id, person, outcome or None)
    return _page(posted.visit, run_id, outcome, is_revealed=True)


def _page(visit: Visit, run_id: int, outcome: str, *, is_revealed: bool) -> HTMLResponse:
    settings = visit.here.settings
    found = listing.listing(
        visit.here.database,
        ArchiveStore(settings.need("archive_url")),
        Keyring.from_settings(settings),
        run_id,
        is_revealed=is_revealed,
    )
    rows = list(islice(_of(found.rows(), outcome), LISTED + 1))
    return visit.page(
        "records.html",
        run=f"r-{run_id}",
        rows=rows[:LISTED],
        there_are_more=len(rows) > LISTED,
        outcomes=[str(each) for each in Became],
        outcome=outcome,
        is_revealed=is_revealed,
    )


def _of(rows: Iterator[dict[str, Any]], outcome: str) -> Iterator[dict[str, Any]]:
    return (row for row in rows if outcome in {"", row["outcome"]})
