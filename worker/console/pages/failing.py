"""What a person sees when something cannot be shown or done."""

from http import HTTPStatus

from fastapi import Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from policies.errors import TendError
from worker.console import answers
from worker.console.pages import rendering, visiting
from worker.errors import NotLoggedIn
from worker.logs import safe_text


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
    return said(request, answers.status_of(error), safe_text(error))


def said(request: Request, status: HTTPStatus, sentence: str) -> Response:
    is_part = "hx-request" in request.headers
    environment = request.app.state.installation.settings.env
    page = rendering.html(
        "error.html#sentence" if is_part else "error.html",
        environment=environment,
        zone=None,
        status=status,
        sentence=sentence,
    )
    return HTMLResponse(page, status)
