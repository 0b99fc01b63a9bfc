"""Tokens: who a person is, proven; kept as hashes, shown once, and over some day.

A token holds 256 random bits, which nobody can guess or try through, so one fast SHA-256 keeps
it as safe as a slow password hash would; the id in front of them finds its row.
"""

import hashlib
import hmac
import re
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker import database, identity
from worker.audit import entries
from worker.database import Database
from worker.errors import NotAllowed, TokenRefused, UsageError
from worker.identity import Actor, Role
from worker.operations import Person
from worker.settings import TOKEN
from worker.tables import Token

LONGEST = timedelta(days=366)
_SECRET_BYTES = 32
NAME = re.compile(r"(?!tend-)[a-z][a-z0-9.-]{1,62}")
"""Of a person, on tokens and among users: the same name is the same person."""


@dataclass(frozen=True)
class Created:
    """A new token: its row, and the one sight of its text."""

    row: Token
    text: str


def create(db: Database, name: str, role: Role, lifetime: timedelta, person: Person) -> Created:
    """Make a token for whoever is called `name`; the same name again is the same person.

    An admin may. While no admin's token is valid, so may whoever can reach the control database,
    and then only an admin's: the first token has nobody else to make it.
    """
    if not NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' is no name for a token: 2 to 63 small letters, digits, dots and hyphens, "
            "beginning with a letter and not with tend-, such as ann."
        )
    if not timedelta() < lifetime <= LONGEST:
        raise UsageError(f"--expires must be longer than 0 and at most {LONGEST.days}d.")
    with db.transaction() as session:
        _must_be_allowed_to_create(session, role, person.actor)
        moment = database.now(session)
        secret = secrets.token_hex(_SECRET_BYTES)
        row = Token(
            name=name,
            role=role,
            digest=_digest(secret),
            created_at=moment,
            created_by=person.actor.name,
            created_account=person.actor.account,
            reason=person.reason,
            expires_at=moment + lifetime,
        )
        session.add(row)
        session.flush()
        detail = {
            "token": token_id(row),
            "name": name,
            "role": str(role),
            "expires_at": entries.stamp(row.expires_at),
            "reason": person.reason,
        }
        entries.append(session, "token_created", person.actor, detail=detail)
        return Created(row, f"tend_{row.id}_{secret}")


def revoke(db: Database, wanted: str, person: Person) -> Token:
    """End a token now; whoever holds it is refused from their next command on."""
    with db.transaction() as session:
        if person.actor.role != Role.ADMIN:
            raise NotAllowed("Only an admin may revoke tokens: set TEND_TOKEN to an admin's.")
        row = _get(session, wanted)
        if row.revoked_at is not None:
            raise UsageError(f"{token_id(row)} of {row.name} was revoked by {row.revoked_by}.")
        row.revoked_at = database.now(session)
        row.revoked_by = person.actor.name
        detail = {"token": token_id(row), "name": row.name, "reason": person.reason}
        entries.append(session, "token_revoked", person.actor, detail=detail)
        return row


def authenticate(db: Database, text: str, called: str = "TEND_TOKEN") -> Actor:
    """Whose token this is. Raises `TokenRefused` unless it is valid at this moment.

    `called` is where the token came from, for the error.
    """
    match = TOKEN.fullmatch(text)
    with db.transaction() as session:
        row = session.get(Token, _number(match[1])) if match else None
        if row is None or match is None or not hmac.compare_digest(row.digest, _digest(match[2])):
            raise TokenRefused(
                f"{called} is no token of this control database; `tend token list` shows those "
                "there are, and an admin makes one with `tend token create`."
            )
        state = state_of(row, database.now(session))
    if state != "valid":
        when = row.revoked_at or row.expires_at
        raise TokenRefused(
            f"{called} holds {token_id(row)} of {row.name}, which {_ENDED[state]} on "
            f"{when:%Y-%m-%d %H:%M} UTC; an admin makes a new one with `tend token create`."
        )
    return Actor(
        row.name, "token", token=token_id(row), role=Role(row.role), account=identity.account()
    )


_ENDED = {"expired": "expired", "revoked": "was revoked"}


def state_of(row: Token, moment: datetime) -> str:
    """valid, expired or revoked."""
    if row.revoked_at is not None:
        return "revoked"
    return "expired" if row.expires_at <= moment else "valid"


def token_id(row: Token) -> str:
    return f"t-{row.id}"


def _get(session: Session, wanted: str) -> Token:
    match = re.fullmatch(r"(?:t-)?(\d{1,18})", wanted.strip().lower())
    row = session.get(Token, _number(match[1]), with_for_update=True) if match else None
    if row is None:
        raise UsageError(f"There is no token '{wanted}'; `tend token list` shows their ids.")
    return row


def _number(digits: str) -> int:
    """The number of a row, or one that no row has."""
    return min(int(digits), database.LARGEST_ID)


def _must_be_allowed_to_create(session: Session, role: Role, actor: Actor) -> None:
    if actor.role == Role.ADMIN:
        return
    valid_admin = select(Token.id).where(
        Token.role == Role.ADMIN,
        Token.revoked_at.is_(None),
        Token.expires_at > database.now(session),
    )
    if session.scalar(valid_admin.limit(1)) is not None:
        raise NotAllowed("Only an admin may create tokens: set TEND_TOKEN to an admin's.")
    if role != Role.ADMIN:
        raise NotAllowed(
            "No admin has a valid token yet: create that one first, with --role admin, and the "
            "others with it."
        )


def _digest(secret: str) -> str:
    return hashlib.sha256(secret.encode()).hexdigest()
