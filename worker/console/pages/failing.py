"""What a person sees when something cannot be shown or done, and what the log says of it."""

import secrets
from http import HTTPStatus

import structlog
from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from policies.errors import TendError
from worker.console import answers
from worker.console.pages import rendering, visiting
from worker.errors import NotLoggedIn
from worker.logs import safe_text

_NEXT = {
    HTTPStatus.UNAUTHORIZED: "Log in, then try again.",
    HTTPStatus.FORBIDDEN: "Go back and load the page again, or ask somebody whose role allows it.",
    HTTPStatus.NOT_FOUND: "Look at the address again, or begin at the overview.",
    HTTPStatus.CONFLICT: "Go back and load the page again to see how things stand now.",
    HTTPStatus.UNPROCESSABLE_ENTITY: "Go back and mend what was entered.",
    HTTPStatus.SERVICE_UNAVAILABLE: "Try again later; `tend doctor` says what is missing.",
}
_NEXT_OTHERWISE = (
    "Try again; if it stays so, give the reference to whoever looks after Tend: a line of the log "
    "of `tend console` has it."
)

log = structlog.get_logger()


def new_reference() -> str:
    """What leads from a page to the line of the log."""
    return secrets.token_hex(4)


def path_of(request: Request) -> str:
    """As the log may have it: without what a login link holds."""
    path = request.url.path
    return "/login/once/…" if path.startswith("/login/once/") else path


def is_for_people(request: Request) -> bool:
    """Whether a browser asks for a page, and not a program for the API or for health."""
    if request.url.path.startswith(("/api/", "/health/", "/metrics")):
        return False
    return "hx-request" in request.headers or "text/html" in request.headers.get("accept", "")


def tend_error(request: Request, error: TendError) -> Response:
    """The sentence of an error, in a page or in the form that was sent."""
    if isinstance(error, NotLoggedIn):
        path = visiting.login_path(request)
        if "hx-request" in request.headers:
            headers = {"HX-Redirect": path}
            return Response(status_code=HTTPStatus.UNAUTHORIZED, headers=headers)
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)
    return refused(request, answers.status_of(error), safe_text(error))


def refused(request: Request, status: HTTPStatus, sentence: str) -> Response:
    """What was refused, and a line of the log that says of what the page speaks."""
    reference = new_reference()
    log.info("page refused", path=path_of(request), status=int(status), reference=reference)
    return said(request, status, sentence, reference)


def said(request: Request, status: HTTPStatus, sentence: str, reference: str) -> Response:
    is_part = "hx-request" in request.headers
    environment = request.app.state.installation.settings.env
    page = rendering.html(
        "error.html#sentence" if is_part else "error.html",
        environment=environment,
        zone=None,
        status=status,
        sentence=sentence,
        next=_NEXT.get(status, _NEXT_OTHERWISE),
        reference=reference,
    )
    return HTMLResponse(page, status)
