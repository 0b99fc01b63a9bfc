"""Sessions of the console: who is logged in, kept as hashes, over after a while and at any time."""

import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from worker import database, tokens
from worker.audit import entries
from worker.database import Database
from worker.errors import NotLoggedIn
from worker.identity import Actor, Role
from worker.tables import ConsoleSession, Token, User

IDLE = timedelta(hours=1)
LONGEST = timedelta(hours=12)
_RENEWED = timedelta(minutes=1)
"""So much older may a session's last sign be than it says: not every page writes."""


@dataclass(frozen=True)
class Proven:
    """Who somebody has shown to be, how, and who else could have shown it."""

    name: str
    role: Role
    way: str
    """password, link, token or oidc."""
    token: str | None = None
    vouched_by: str | None = None
    vouched_account: str | None = None
    vouched_at: datetime | None = None
    account: str | None = None
    """Theirs at the login provider."""


@dataclass(frozen=True)
class Login:
    """A session that is valid now."""

    id: int
    actor: Actor
    way: str
    expires_at: datetime
    secret: str

    @property
    def csrf(self) -> str:
        """What each form of this session carries, and nobody else can know."""
        return hmac.new(self.secret.encode(), b"csrf", hashlib.sha256).hexdigest()


def begin(session: Session, proven: Proven) -> str:
    """Log somebody in; returns the secret for their cookie, which is kept nowhere."""
    moment = database.now(session)
    secret = new_secret()
    row = ConsoleSession(
        digest=digest(secret),
        name=proven.name,
        role=proven.role,
        way=proven.way,
        token=proven.token,
        account=proven.account,
        vouched_by=proven.vouched_by,
        vouched_account=proven.vouched_account,
        vouched_at=proven.vouched_at,
        created_at=moment,
        seen_at=moment,
        expires_at=moment + LONGEST,
    )
    session.add(row)
    session.flush()
    detail = {"session": _id(row), "way": row.way, "with_token": row.token, "role": str(row.role)}
    entries.append(session, "logged_in", _actor(row, proven.role), detail=detail)
    return secret


def authenticate(db: Database, secret: str, *, is_looking_on: bool = False) -> Login:
    """Whose session this is. Raises `NotLoggedIn` unless it is valid at this moment.

    A page that only goes on showing what it shows is looking on, and keeps no session alive.
    """
    with db.reading() as session:
        row = _find(session, secret)
        moment = database.now(session)
        role = _role_now(session, row, moment)
    if role is None or row.ended_at is not None or row.expires_at <= moment:
        raise NotLoggedIn("This session has ended; log in again.")
    if row.seen_at + IDLE <= moment:
        raise NotLoggedIn("Nothing was asked for an hour, so this session has ended; log in again.")
    if not is_looking_on and row.seen_at + _RENEWED <= moment:
        with db.transaction(durable=False) as session:
            seen = update(ConsoleSession).where(ConsoleSession.id == row.id)
            session.execute(seen.values(seen_at=moment))
    return Login(row.id, _actor(row, role), row.way, row.expires_at, secret)


def fits(login: Login, sent: str) -> bool:
    """Whether a form is one that this session was given."""
    return hmac.compare_digest(login.csrf.encode(), sent.encode())


def end(db: Database, login: Login) -> None:
    """Log somebody out."""
    with db.transaction() as session:
        row = session.get_one(ConsoleSession, login.id, with_for_update=True)
        row.ended_at = database.now(session)
        entries.append(session, "logged_out", login.actor, detail={"session": _id(row)})


def end_all(session: Session, name: str) -> int:
    """End every session of a person; returns how many were valid until now."""
    moment = database.now(session)
    open_still = ConsoleSession.name == name, ConsoleSession.ended_at.is_(None)
    valid = select(func.count(ConsoleSession.id)).where(
        *open_still, ConsoleSession.expires_at > moment, ConsoleSession.seen_at > moment - IDLE
    )
    number = session.scalar(valid) or 0
    session.execute(update(ConsoleSession).where(*open_still).values(ended_at=moment))
    return number


def new_secret() -> str:
    return secrets.token_hex(32)


def digest(secret: str) -> str:
    """256 random bits cannot be guessed, so one fast hash keeps them as safe as a slow one."""
    return hashlib.sha256(secret.encode()).hexdigest()


def _find(session: Session, secret: str) -> ConsoleSession:
    row = session.scalar(select(ConsoleSession).where(ConsoleSession.digest == digest(secret)))
    if row is None:
        raise NotLoggedIn("Log in first.")
    return row


def _role_now(session: Session, row: ConsoleSession, moment: datetime) -> Role | None:
    """What they may do today; None if what they logged in with is valid no longer."""
    if row.way == "token":
        token = session.get(Token, int((row.token or "t-0").removeprefix("t-")))
        is_valid = token is not None and tokens.state_of(token, moment) == "valid"
        return Role(row.role) if is_valid else None
    if row.way == "oidc":
        return Role(row.role)
    user = session.get(User, row.name)
    return None if user is None or user.disabled_at is not None else Role(user.role)


def _actor(row: ConsoleSession, role: Role) -> Actor:
    return Actor(row.name, "session", token=_id(row), role=role, account=row.account)


def _id(row: ConsoleSession) -> str:
    return f"s-{row.id}"
