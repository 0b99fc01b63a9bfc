"""Who looks at a page or posts one of its forms, and what they are shown of it."""

from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from importlib import import_module
from typing import Annotated, Any
from urllib.parse import quote
from zoneinfo import ZoneInfo

from fastapi import Depends, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response

from worker import access, braking, families
from worker.brake import EVERY_POLICY
from worker.console import sessions
from worker.console.asking import Here
from worker.console.installation import Installation
from worker.console.origin import COOKIE, must_be_our_own
from worker.console.pages import rendering
from worker.console.sessions import Login
from worker.errors import NotAllowed
from worker.operations import Person

ZONE = "tend_zone"
FAMILIES: tuple[tuple[str, str, str], ...] = tuple(
    import_module(module).PAGE for module, _ in families.pages()
)
PAGES = (
    ("/", "Overview", "status"),
    ("/runs", "Runs", "runs"),
    ("/repair", "New repair", "plan"),
    ("/policies", "Policies", "policies"),
    ("/alerts", "Alerts", "alerts"),
    ("/probes", "Probes", "probes"),
    *FAMILIES,
    ("/brake", "Brake", "brake show"),
    ("/holds", "Holds", "hold list"),
    ("/audit", "Audit", "audit list"),
)
"""Where the navigation leads, and the command whose role a page takes."""


@dataclass(frozen=True)
class Visit:
    """Somebody who is logged in, and asks for a page."""

    request: Request
    here: Installation
    login: Login

    @property
    def zone(self) -> ZoneInfo | None:
        return rendering.zone_of(self.request.cookies.get(ZONE))

    @property
    def navigation(self) -> list[tuple[str, str]]:
        """The pages that they may open."""
        return [(href, name) for href, name, command in PAGES if self.may(command)]

    def may(self, command: str) -> bool:
        """Whether their role is enough for a command."""
        role = self.login.actor.role
        return role is not None and role.includes(access.least(command))

    def must(self, command: str) -> None:
        """Raise `NotAllowed` unless it is."""
        access.must_allow(command, self.login.actor, self.here.settings.env)

    def html(self, template: str, **context: Any) -> str:
        return rendering.html(template, **self._always(), **context)

    def page(self, template: str, **context: Any) -> HTMLResponse:
        with self.here.database.reading() as session:
            brakes = [
                (None if each.policy == EVERY_POLICY else each.policy, each.actor, each.reason)
                for each in braking.pulled(session)
            ]
        return HTMLResponse(self.html(template, brakes=brakes, **context))

    def _always(self) -> dict[str, Any]:
        return {
            "visit": self,
            "zone": self.zone,
            "environment": self.here.settings.env,
            "actor": self.login.actor,
            "csrf": self.login.csrf,
            "path": self.request.url.path,
        }


@dataclass(frozen=True)
class Post:
    """A form that somebody who is logged in has sent from a page of this very session."""

    visit: Visit
    form: Mapping[str, str]

    def person(self, command: str) -> Person:
        """Who asks for a change and why; raises `NotAllowed` if their role is not enough."""
        self.visit.must(command)
        return Person(self.visit.login.actor, self.form.get("reason", "").strip())

    def done(self, path: str) -> Response:
        """On to a page, whether the form was sent by a script or by the browser itself."""
        if "hx-request" in self.visit.request.headers:
            return Response(status_code=HTTPStatus.NO_CONTENT, headers={"HX-Redirect": path})
        return RedirectResponse(path, HTTPStatus.SEE_OTHER)


def visit(request: Request, here: Here) -> Visit:
    """Raises `NotLoggedIn` unless there is a session."""
    return Visit(request, here, _login(request, here, is_looking_on=False))


def looking_on(request: Request, here: Here) -> Visit:
    """The same for what a page asks for by itself, which keeps no session alive."""
    return Visit(request, here, _login(request, here, is_looking_on=True))


async def form(request: Request) -> Mapping[str, str]:
    """The fields of a form, whose page must be the console's own."""
    must_be_our_own(request)
    sent = await request.form()
    return {name: value for name, value in sent.items() if isinstance(value, str)}


Form = Annotated[Mapping[str, str], Depends(form)]
Visiting = Annotated[Visit, Depends(visit)]
LookingOn = Annotated[Visit, Depends(looking_on)]


def post(visiting: Visiting, sent: Form) -> Post:
    """Raises `NotAllowed` for a form that does not carry what its session's forms do."""
    if not sessions.fits(visiting.login, sent.get("csrf", "")):
        raise NotAllowed("This form is not of this session; load the page again, then send it.")
    return Post(visiting, sent)


Posted = Annotated[Post, Depends(post)]


def keep(response: Response, request: Request, here: Installation, secret: str) -> None:
    """Give the browser the session's cookie."""
    response.set_cookie(
        COOKIE,
        secret,
        secure=is_secure(request, here),
        httponly=True,
        samesite="strict",
        max_age=int(sessions.LONGEST.total_seconds()),
    )


def is_secure(request: Request, here: Installation) -> bool:
    """Whether the console is served over HTTPS, so that its cookies stay there."""
    return request.url.scheme == "https" or (here.settings.console_url or "").startswith("https:")


def _login(request: Request, here: Installation, *, is_looking_on: bool) -> Login:
    here.must_be_current()
    secret = request.cookies.get(COOKIE, "")
    return sessions.authenticate(here.database, secret, is_looking_on=is_looking_on)


def login_path(request: Request) -> str:
    """Where to log in, and then to come back."""
    if request.method != "GET" or "hx-request" in request.headers:
        return "/login"
    back = request.url.path + (f"?{request.url.query}" if request.url.query else "")
    return "/login" if back == "/" else f"/login?then={quote(back, safe='/')}"
