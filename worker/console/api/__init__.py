"""`/api/v1`: the operations of the command line over HTTP, with the same JSON."""

from fastapi import APIRouter

from worker.console.answers import DOCUMENTED
from worker.console.api import audit, brake, families, holds, policies, runs

router = APIRouter(prefix="/api/v1", responses=DOCUMENTED)
for _room in (runs, policies, brake, holds, audit):
    router.include_router(_room.router)
for _family in families.routers():
    router.include_router(_family)
