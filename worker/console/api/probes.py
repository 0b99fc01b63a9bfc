"""`/api/v1/probes`: how what is watched is, and a look that is made now."""

from fastapi import APIRouter

from worker.console.api.bodies import Document, Line
from worker.console.asking import Here, allowed
from worker.documents import probes as documents
from worker.identity import Actor

router = APIRouter(prefix="/probes", tags=["probes"])


@router.get("")
def probes(here: Here, _: Actor = allowed("probes")) -> Document:
    """Every probe, the worst first: what is ill, since when, and when it was looked at."""
    return documents.listed(here.settings, here.database)


@router.get("/{probe}")
def probes_show(here: Here, probe: Line, _: Actor = allowed("probes show")) -> Document:
    """One probe: its troubles with what to do, and what the last looks read."""
    return documents.shown(here.settings, here.database, probe)


@router.post("/{probe}/run")
def probes_run(here: Here, probe: Line, _: Actor = allowed("probes run")) -> Document:
    """Look once, now; counts of looks in a row and alerts stay as they are."""
    return documents.looked(here.settings, here.database, probe)
