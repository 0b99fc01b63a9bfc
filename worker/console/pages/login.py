"""The way in and the way out."""

from http import HTTPStatus
from urllib.parse import urlsplit

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from policies.errors import TendError
from worker.console import answers, logins, sessions
from worker.console.asking import Here
from worker.console.installation import Installation
from worker.console.origin import COOKIE
from worker.console.pages import rendering
from worker.console.pages.visiting import Form, Posted, keep
from worker.errors import LoginRefused, LoginThrottled

router = APIRouter(include_in_schema=False)


@router.get("/login")
def login(here: Here, then: str = "/") -> HTMLResponse:
    return _page(here, then=inside(then))


@router.post("/login")
def log_in(request: Request, here: Here, sent: Form) -> Response:
    then = inside(sent.get("then", "/"))
    address = address_of(request)
    try:
        if sent.get("token"):
            secret = logins.with_token(here.database, sent["token"], address)
        else:
            name, password = sent.get("name", ""), sent.get("password", "")
            secret = logins.with_password(here.database, name.strip(), password, address)
    except LoginRefused as error:
        return refused(here, error, then=then)
    return _let_in(request, here, secret, then)


@router.get("/login/once/{link}")
def once(here: Here, link: str) -> HTMLResponse:
    """Asks before it is used up: programs that look at links in messages follow them, too."""
    return _page(here, link=link)


@router.post("/login/once")
def log_in_once(request: Request, here: Here, sent: Form) -> Response:
    try:
        secret = logins.with_link(here.database, sent.get("link", ""), address_of(request))
    except LoginRefused as error:
        return refused(here, error)
    return _let_in(request, here, secret, "/")


@router.post("/logout")
def log_out(posted: Posted) -> Response:
    sessions.end(posted.visit.here.database, posted.visit.login)
    response = posted.done("/login")
    response.delete_cookie(COOKIE)
    return response


def _page(here: Installation, **context: str) -> HTMLResponse:
    said = {"then": "/", "link": "", "error": "", "provider": _provider(here), **context}
    return HTMLResponse(
        rendering.html("login.html", environment=here.settings.env, zone=None, **said)
    )


def _provider(here: Installation) -> str:
    """What the login provider is called; empty if there is none."""
    return urlsplit(here.settings.oidc_issuer or "").hostname or ""


def refused(here: Installation, error: TendError, then: str = "/") -> HTMLResponse:
    """The page to log in, with why somebody was not let in."""
    page = _page(here, error=str(error), then=then)
    page.status_code = answers.status_of(error)
    if isinstance(error, LoginThrottled):
        page.headers["Retry-After"] = str(int(logins.WINDOW.total_seconds()))
    return page


def address_of(request: Request) -> str:
    return request.client.host if request.client is not None else ""


def _let_in(request: Request, here: Installation, secret: str, then: str) -> Response:
    response = RedirectResponse(then, HTTPStatus.SEE_OTHER)
    keep(response, request, here, secret)
    return response


def inside(path: str) -> str:
    """A path of this console; anything that leads elsewhere becomes its first page."""
    parts = urlsplit(path)
    is_inside = path.startswith("/") and not path.startswith(("//", "/\\")) and not parts.netloc
    return path if is_inside and path.isprintable() else "/"
