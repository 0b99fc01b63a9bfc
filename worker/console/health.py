"""`/health/live` and `/health/ready`: for whoever supervises Tend, whoever that is."""

from dataclasses import asdict
from http import HTTPStatus
from typing import Any

from fastapi import APIRouter
from fastapi.responses import JSONResponse

from worker.console.answers import failure
from worker.console.asking import Here

router = APIRouter(prefix="/health", include_in_schema=False)


@router.get("/live")
async def live() -> dict[str, str]:
    """As long as the process answers."""
    return {"status": "ok"}


@router.get("/ready")
def ready(here: Here) -> JSONResponse:
    """503 says what is amiss first."""
    report = here.readiness.report()
    checks: dict[str, Any] = {name: asdict(check) for name, check in report.items()}
    amiss = next((check.says for check in report.values() if not check.ok), None)
    if amiss is None:
        return JSONResponse({"status": "ok", "checks": checks})
    return JSONResponse(failure("not_ready", amiss, checks), HTTPStatus.SERVICE_UNAVAILABLE)
