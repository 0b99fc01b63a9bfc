"""The application: which rooms there are, and how everything that goes wrong is answered."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from http import HTTPStatus
from typing import Any

import structlog
from anyio.to_thread import current_default_thread_limiter
from fastapi import APIRouter, FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from starlette.exceptions import HTTPException

from policies.errors import TendError
from worker.console import answers, api, health, metrics
from worker.console.bounds import Bounds
from worker.console.headers import Headers
from worker.console.installation import Installation
from worker.console.pages import failing, rooms
from worker.console.pages.static import Static
from worker.logs import safe_text

THREADS = 12
"""At work at once: fewer than the connections to the control database that a process has."""
ROUTERS = (health.router, metrics.router, api.router, *rooms.ROUTERS)
"""Every room; a new one is added here."""
_EVERY_ROOM = APIRouter(generate_unique_id_function=lambda route: route.name)
for _router in ROUTERS:
    _EVERY_ROOM.include_router(_router)

log = structlog.get_logger()


def create_app(installation: Installation) -> FastAPI:
    """The application over what is open in this process."""
    app = FastAPI(
        title="Tend",
        openapi_url="/api/v1/openapi.json",
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=_at_work,
        # Not `include_router`: for each application it prepares every route anew, in 0.2 seconds.
        routes=_EVERY_ROOM.routes,
    )
    app.state.installation = installation
    app.mount("/static", Static())
    app.add_exception_handler(TendError, _tend_error)
    app.add_exception_handler(RequestValidationError, _misread)
    app.add_exception_handler(HTTPException, _http_error)
    app.add_middleware(Bounds)
    app.add_middleware(Headers)
    return app


@asynccontextmanager
async def _at_work(app: FastAPI) -> AsyncIterator[None]:
    current_default_thread_limiter().total_tokens = THREADS
    yield
    app.state.installation.close()


async def _tend_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, TendError)  # noqa: S101 - the handler is registered for no other
    status = answers.status_of(error)
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        log.warning("request failed", path=failing.path_of(request), why=safe_text(error))
    if failing.is_for_people(request):
        return failing.tend_error(request, error)
    return JSONResponse(answers.failure(error.code, str(error)), status, _challenge(status))


async def _misread(request: Request, error: Exception) -> Response:
    """What was wrong where, without what was sent: it may hold anything."""
    assert isinstance(error, RequestValidationError)  # noqa: S101 - registered for no other
    found = {_place(one["loc"]): one["msg"] for one in error.errors()}
    where, why = next(iter(found.items()))
    if failing.is_for_people(request):
        return failing.refused(request, HTTPStatus.UNPROCESSABLE_ENTITY, f"{where}: {why}.")
    document = answers.failure("invalid_request", f"{where}: {why}.", found)
    return JSONResponse(document, HTTPStatus.UNPROCESSABLE_ENTITY)


def _place(parts: tuple[Any, ...]) -> str:
    """A key of the request may be text that no answer can hold."""
    return ".".join(str(part) for part in parts).encode(errors="replace").decode()


async def _http_error(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # noqa: S101 - registered for no other
    if failing.is_for_people(request):
        status = HTTPStatus(error.status_code)
        return failing.refused(request, status, answers.refusal(status)["error"]["message"])
    document = answers.refusal(HTTPStatus(error.status_code))
    return JSONResponse(document, error.status_code, error.headers)


def _challenge(status: HTTPStatus) -> dict[str, Any]:
    return {"WWW-Authenticate": "Bearer"} if status == HTTPStatus.UNAUTHORIZED else {}
