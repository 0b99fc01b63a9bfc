"""`/api/v1`: the operations of the command line over HTTP, with the same JSON."""

from fastapi import APIRouter

from worker.console.answers import DOCUMENTED
from worker.console.api import audit, brake, families, holds, policies, probes, runs

ROOMS = (
    *(room.router for room in (runs, policies, brake, holds, audit, probes)),
    *families.routers(),
)
router = APIRouter(prefix="/api/v1", responses=DOCUMENTED)
for _room in ROOMS:
    router.include_router(_room)
