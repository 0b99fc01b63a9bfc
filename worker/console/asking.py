"""What a route is given: the installation, and who asks, checked against the one table of roles."""

from collections.abc import Callable
from dataclasses import replace
from typing import Annotated, Any

from fastapi import Depends, Request, Security
from fastapi.security import HTTPBearer

from worker import access, tokens
from worker.console.answers import NotAuthenticated
from worker.console.installation import Installation
from worker.identity import Actor


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


WAYS: tuple[Callable[[Request, Installation], Actor | None], ...] = (by_token,)
"""How a request proves who asks; the first that finds somebody. Each returns None if it is not used
and raises if it does not hold. None of them takes anybody's word for it."""


_BEARER = Depends(HTTPBearer(auto_error=False, description="What `tend token create` printed."))
"""Says in the API's description how to ask."""


def actor_of(request: Request, here: Here, _bearer: Any = _BEARER) -> Actor:
    """Who asks. Raises `NotAuthenticated` if nothing in the request says so."""
    here.must_be_current()
    for way in WAYS:
        actor = way(request, here)
        if actor is not None:
            return actor
    raise NotAuthenticated(
        "This needs to know who asks: send `Authorization: Bearer` with a token, which an admin "
        "makes with `tend token create`."
    )


Who = Annotated[Actor, Depends(actor_of)]


def allowed(command: str) -> Any:
    """A dependency that gives the actor, who must have the role that this command takes."""

    def dependency(actor: Who, here: Here) -> Actor:
        access.must_allow(command, actor, here.settings.env)
        return actor

    dependency.__dict__["command"] = command
    return Security(dependency, scopes=[str(access.least(command))])
