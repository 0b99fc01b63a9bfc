"""`/metrics`: what Prometheus asks of the console, the same as of every other process."""

from fastapi import APIRouter
from fastapi.responses import Response

from worker.console.asking import Here
from worker.metrics.collector import CONTENT_TYPE

router = APIRouter(include_in_schema=False)


@router.get("/metrics")
def metrics(here: Here) -> Response:
    return Response(here.metrics.text(), media_type=CONTENT_TYPE)
