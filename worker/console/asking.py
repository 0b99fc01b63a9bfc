"""What a route is given: the installation, and who asks, checked against the one table of roles."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import APIKeyCookie, HTTPBearer

from worker import access, tokens
from worker.console import sessions
from worker.console.answers import NotAuthenticated
from worker.console.installation import Installation
from worker.console.origin import COOKIE, must_be_our_own
from worker.errors import NotAllowed
from worker.identity import Actor

CSRF = "X-CSRF-Token"


def installation_of(request: Request) -> Installation:
    found: Installation = request.app.state.installation
    return found


Here = Annotated[Installation, Depends(installation_of)]


def by_token(request: Request, here: Installation) -> Actor | None:
    """Whoever sends `Authorization: Bearer` with a token that `tend token create` made."""
    scheme, _, text = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer":
        return None
    actor = tokens.authenticate(here.database, text.strip(), "The bearer token")
    return replace(actor, account=None)  # they are not at this process's own account


def by_session(request: Request, here: Installation) -> Actor | None:
    """Whoever is logged in to the console in this browser.

    A change must come from a page of the console's own and carry what that session's forms do.
    """
    secret = request.cookies.get(COOKIE)
    if not secret:
        return None
    is_change = request.method != "GET"
    if is_change:
        must_be_our_own(request)
    login = sessions.authenticate(here.database, secret, is_looking_on=not is_change)
    if is_change and not sessions.fits(login, request.headers.get(CSRF, "")):
        raise NotAllowed(
            f"With the console's cookie a change carries the header {CSRF}, which is the field "
            "csrf of the forms of the same session; or ask with a token."
        )
    return login.actor


WAYS: tuple[Callable[[Request, Installation], Actor | None], ...] = (by_token, by_session)
"""How a request proves who asks; the first that finds somebody. Each returns None if it is not used
and raises if it does not hold. None of them takes anybody's word for it."""


_BEARER = Depends(HTTPBearer(auto_error=False, description="What `tend token create` printed."))
_COOKIE = Depends(
    APIKeyCookie(
        name=COOKIE,
        auto_error=False,
        description=f"A session of the console. A change carries its forms' csrf in {CSRF}, too.",
    )
)
"""These say in the API's description how to ask."""


def actor_of(request: Request, here: Here, _bearer: Any = _BEARER, _cookie: Any = _COOKIE) -> Actor:
    """Who asks. Raises `NotAuthenticated` if nothing in the request says so."""
    here.must_be_current()
    for way in WAYS:
        actor = way(request, here)
        if actor is not None:
            return actor
    raise NotAuthenticated(
        "This needs to know who asks: send `Authorization: Bearer` with a token, which an admin "
        "makes with `tend token create`, or log in to the console."
    )


Who = Annotated[Actor, Depends(actor_of)]


def allowed(command: str) -> Any:
    """A dependency that gives the actor, who must have the role that this command takes."""

    def dependency(actor: Who, here: Here) -> Actor:
        access.must_allow(command, actor, here.settings.env)
        return actor

    dependency.__dict__["command"] = command
    return Security(dependency, scopes=[str(access.least(command))])
