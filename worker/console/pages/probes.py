"""Probes: the worst first, and each with its troubles, what to do, and what its looks read."""

from datetime import datetime
from typing import Any

from fastapi import APIRouter
from fastapi.responses import HTMLResponse

from worker import database
from worker.console.pages import plots
from worker.console.pages.plots import Plot, Reading
from worker.console.pages.visiting import LookingOn, Visit, Visiting
from worker.documents import probes as documents

router = APIRouter(include_in_schema=False)

MOST = 40
"""Troubles and plots that a page shows; a probe may have thousands."""


@router.get("/probes")
def probes(visit: Visiting) -> HTMLResponse:
    visit.must("probes")
    return visit.page("probes.html", **_list(visit))


@router.get("/probes-now")
def probes_now(visit: LookingOn) -> HTMLResponse:
    """The list alone, for the page asks for it again and again."""
    visit.must("probes")
    return HTMLResponse(visit.html("probes.html#now", **_list(visit)))


@router.get("/probes/{probe}")
def probe(visit: Visiting, probe: str) -> HTMLResponse:
    visit.must("probes show")
    return visit.page("probe.html", **_whole(visit, probe))


@router.get("/probes/{probe}/now")
def probe_now(visit: LookingOn, probe: str) -> HTMLResponse:
    """How it is, without the plots, which somebody may be reading."""
    visit.must("probes show")
    return HTMLResponse(visit.html("probe.html#now", **_whole(visit, probe)))


def _list(visit: Visit) -> dict[str, Any]:
    here = visit.here
    found = documents.listed(here.settings, here.database)["probes"]
    return {"found": found, "now": _now(visit)}


def _whole(visit: Visit, name: str) -> dict[str, Any]:
    here = visit.here
    found = documents.shown(here.settings, here.database, name)
    return {
        "probe": found,
        "drawn": [_plot(one) for one in found["plots"][:MOST]],
        "most": MOST,
        "now": _now(visit),
    }


def _plot(one: dict[str, Any]) -> dict[str, Any]:
    check = one["check"].replace("_", " ")
    title = f"{one['subject']}, {check}" + (f", on {one['place']}" if one["place"] else "")
    return {
        "title": title,
        "is_ill": one["ill"],
        "figure": _figure(one),
        "plot": _drawn(one, title),
    }


def _drawn(one: dict[str, Any], title: str) -> Plot:
    points = [
        Reading(datetime.fromisoformat(each["at"]), each["value"], each["ill"])
        for each in one["points"]
    ]
    return plots.readings(title, points, one["unit"])


def _figure(one: dict[str, Any]) -> str:
    return "" if one["value"] is None else f"{one['value']:,.10g} {one['unit']}".strip()


def _now(visit: Visit) -> datetime:
    with visit.here.database.reading() as session:
        return database.now(session)
