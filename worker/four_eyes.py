"""The four-eyes principle: who asked for a change, and whether somebody else is speaking now.

Identities are compared, so they must be authenticated: a token proves a name, and in development
alone a claimed identity will do. One person counts once: two tokens with one name are one person,
and so is whom the login provider calls so. So, outside of development, are two names at one
account, of the operating system or at the provider, and a name whose token or password somebody who
asked made after the run, or a login link at any time.
`--on-behalf-of` is no identity.
"""

from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy.orm import Session

from worker import identity
from worker.errors import NotAllowed
from worker.identity import DEVELOPMENT, Actor
from worker.tables import ConsoleSession, Run, Token


def asker(actor: Actor) -> dict[str, Any]:
    """What is kept of somebody who asked for a run, to compare an approver with."""
    return {"name": actor.name, "proof": actor.proof, "account": actor.account}


def with_asker(run: Run, actor: Actor) -> list[Any]:
    """Those who asked for the run, and this one."""
    one = asker(actor)
    return run.asked_by if one in run.asked_by else [*run.asked_by, one]


def names(run: Run) -> str:
    """Those who asked for the run, as a person reads them; the schedule if nobody did."""
    found = dict.fromkeys(one["name"] for one in run.asked_by)
    return " and ".join(found) or "the scheduler"


def must_be_proven(actor: Actor, environment: str) -> None:
    """Raise `NotAllowed` unless it is known who this is."""
    if actor.proof == "claimed" and environment != DEVELOPMENT:
        raise NotAllowed(
            f"{actor.name} is only claimed, and approval compares who asks with who approves: set "
            "TEND_TOKEN, which `tend token create` makes."
        )


def askers_must_be_proven(run: Run) -> None:
    """Raise `NotAllowed` for a run that somebody asked for whom nobody can be told apart from."""
    for one in run.asked_by:
        if one["proof"] == "claimed" and run.environment != DEVELOPMENT:
            raise NotAllowed(
                f"r-{run.id} was asked for by {one['name']}, which is only claimed, so nobody can "
                f"be told apart from them: plan {run.policy} anew with TEND_TOKEN set."
            )


def must_be_another(session: Session, run: Run, actor: Actor) -> None:
    """Raise `NotAllowed` unless this is somebody else than everybody who asked for the run."""
    must_be_proven(actor, run.environment)
    askers_must_be_proven(run)
    for one in run.asked_by:
        why = _same(session, run, one, actor)
        if why is not None:
            raise NotAllowed(f"r-{run.id} waits for somebody else than {names(run)}: {why}.")


def _same(session: Session, run: Run, one: dict[str, Any], actor: Actor) -> str | None:
    """Why the two are taken for one person, or None."""
    if one["name"] == actor.name:
        return f"{actor.name} asked for it"
    if identity.bare(one["name"]) == identity.bare(actor.name):
        return f"{one['name']} and {actor.name} count as one person"
    if run.environment == DEVELOPMENT:
        return None
    if actor.account is not None and one["account"] == actor.account:
        return f"{one['name']} and {actor.name} both acted as {actor.account}"
    made = _made(session, actor)
    if made is None or (made.at < run.created_at and not made.is_for_once):
        return None
    by_account = one["account"] is not None and made.account == one["account"]
    if by_account or identity.bare(made.by) == identity.bare(one["name"]):
        return f"{one['name']} made {made.what} of {actor.name} after the run"
    return None


class _Made(NamedTuple):
    """Who made what an identity is proven with: they could have used it themselves."""

    what: str
    by: str
    account: str | None
    at: datetime
    is_for_once: bool = False
    """Its age says nothing, for it was used at once."""


def _made(session: Session, actor: Actor) -> _Made | None:
    kind, _, number = (actor.token or "").partition("-")
    if kind == "t" and (token := session.get(Token, int(number))) is not None:
        return _Made("the token", token.created_by, token.created_account, token.created_at)
    if kind != "s" or (login := session.get(ConsoleSession, int(number))) is None:
        return None
    if login.vouched_by is None or login.vouched_at is None:
        return None
    return _Made(
        f"the {login.way}",
        login.vouched_by,
        login.vouched_account,
        login.vouched_at,
        is_for_once=login.way == "link",
    )
