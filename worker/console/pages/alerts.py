"""Alerts: what is wrong now, how soon somebody must answer, and that somebody does."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from worker.alerts import answering
from worker.console.pages.visiting import Posted, Visiting
from worker.keys import Keyring

router = APIRouter(include_in_schema=False)


@router.get("/alerts")
def alerts(visit: Visiting, over: str = "") -> HTMLResponse:
    keyring = Keyring.from_settings(visit.here.settings)
    with visit.here.database.reading() as session:
        found = answering.listed(session, keyring, over=bool(over))
    return visit.page("alerts.html", found=found, over=bool(over))


@router.get("/alerts/{alert}")
def alert(visit: Visiting, alert: str) -> HTMLResponse:
    keyring = Keyring.from_settings(visit.here.settings)
    with visit.here.database.reading() as session:
        found = answering.as_json(session, keyring, answering.get(session, alert))
    return visit.page("alert.html", it=found)


@router.post("/alerts/{alert}/ack")
def acknowledge(posted: Posted, alert: str) -> Response:
    person = posted.person("alerts ack")
    number = answering.acknowledge(posted.visit.here.database, alert, person)
    return posted.done(f"/alerts/a-{number}")
