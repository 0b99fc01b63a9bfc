"""Logging in by way of the OpenID Connect provider: there, and back."""

from http import HTTPStatus
from urllib.parse import quote, unquote

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.exceptions import HTTPException

from worker.console import handshake as handshakes
from worker.console import logins, provider, provider_people
from worker.console.asking import Here
from worker.console.handshake import Handshake
from worker.console.installation import Installation
from worker.console.pages import login, rendering
from worker.console.pages.visiting import is_secure, keep
from worker.console.sessions import Proven
from worker.errors import LoginRefused, ProviderUnreachable

COOKIE = "tend_login"
SECONDS = 600
"""To log in at the provider."""

router = APIRouter(include_in_schema=False)


@router.get("/login/provider")
def there(request: Request, here: Here, then: str = "/") -> Response:
    _must_be_set(here)
    begun = handshakes.begin()
    try:
        with provider.asked(here.settings) as found:
            response = RedirectResponse(found.address(begun), HTTPStatus.SEE_OTHER)
    except ProviderUnreachable as error:
        return login.refused(here, error, login.inside(then))
    response.set_cookie(
        COOKIE,
        f"{begun.secret}:{quote(login.inside(then), safe='')}",
        path=provider.BACK,
        secure=is_secure(request, here),
        httponly=True,
        samesite="lax",  # the way back begins at the provider, where Strict would not come along
        max_age=SECONDS,
    )
    return response


@router.get(provider.BACK)
def back(request: Request, here: Here) -> Response:
    """For a browser that has begun no login nothing is counted or recorded: any page may send it
    here."""
    _must_be_set(here)
    secret, _, then = request.cookies.get(COOKIE, "").partition(":")
    if not secret:
        why = LoginRefused("No login was begun in this browser, or it took too long; begin again.")
        return login.refused(here, why)
    then = login.inside(unquote(then))
    begun, answer = Handshake(secret), dict(request.query_params)
    try:
        session = logins.with_provider(
            here.database, lambda: _shown(here, begun, answer), login.address_of(request)
        )
    except (LoginRefused, ProviderUnreachable) as error:
        response = login.refused(here, error, then)
    else:
        response = _let_in(request, here, session, then)
    response.delete_cookie(COOKIE, path=provider.BACK)
    return response


def _must_be_set(here: Installation) -> None:
    if here.settings.oidc_issuer is None:
        raise HTTPException(HTTPStatus.NOT_FOUND)


def _shown(here: Installation, begun: Handshake, answer: dict[str, str]) -> Proven:
    code = provider.must_answer(here.settings, begun, answer)
    with provider.asked(here.settings) as found:
        return provider_people.proven(here.settings, found.claims(begun, code))


def _let_in(request: Request, here: Installation, secret: str, then: str) -> HTMLResponse:
    """A page that goes on by itself: a redirect would still count as coming from the provider, and
    browsers would leave the session's cookie out."""
    page = HTMLResponse(
        rendering.html("logged_in.html", environment=here.settings.env, zone=None, then=then)
    )
    keep(page, request, here, secret)
    return page
