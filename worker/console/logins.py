"""Logging in: by password, by a link for once, by a token, or by way of a provider; throttled, and
each on record."""

import hashlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import ColumnElement, delete, func, select
from sqlalchemy.orm import Session

from policies.errors import TendError
from worker import database, passwords, tokens
from worker.audit import entries
from worker.console import sessions
from worker.console.sessions import Proven
from worker.database import Database
from worker.errors import LoginRefused, LoginThrottled, NoRole, ProviderUnreachable
from worker.identity import Actor, Role
from worker.tables import LoginAttempt, LoginLink, ProviderAccount, Token, User

WINDOW = timedelta(minutes=15)
MOST_OF_A_NAME = 10
MOST_OF_AN_ADDRESS = 30
_UNNAMED = {"a login link", "a token", "the provider"}
"""Ways in that begin without a name: attempts count by where they come from alone."""
_WRONG = "User and password do not fit together."


@dataclass(frozen=True)
class Attempt:
    """Somebody wants to log in: which login it is, and how others of theirs are found."""

    db: Database
    name: str
    address: str


def with_password(db: Database, name: str, password: str, address: str) -> str:
    """The secret of a new session. Raises `LoginRefused`, which never says what was wrong."""
    with _attempted(Attempt(db, name, address)):
        with db.reading() as session:
            user = session.get(User, name)
        is_right = passwords.matches(password, user.password if user is not None else None)
        if user is None or not is_right or user.disabled_at is not None:
            raise LoginRefused(_WRONG)
        made = Proven(
            user.name,
            Role(user.role),
            "password",
            vouched_by=user.password_by,
            vouched_account=user.password_account,
            vouched_at=user.password_at,
        )
        with db.transaction() as session:
            return sessions.begin(session, made)


def with_link(db: Database, secret: str, address: str) -> str:
    """The same by a login link, which is used up by it."""
    with _attempted(Attempt(db, "a login link", address)), db.transaction() as session:
        link = session.get(LoginLink, sessions.digest(secret), with_for_update=True)
        user = session.get(User, link.user) if link is not None else None
        if link is None or user is None or link.expires_at <= database.now(session):
            raise LoginRefused("This link was used already, or its time is over; ask for another.")
        if user.disabled_at is not None:
            raise LoginRefused(_WRONG)
        session.delete(link)
        return sessions.begin(
            session,
            Proven(
                user.name,
                Role(user.role),
                "link",
                vouched_by=link.created_by,
                vouched_account=link.created_account,
                vouched_at=link.created_at,
            ),
        )


def with_token(db: Database, text: str, address: str) -> str:
    """The same by an API token; the session ends with it."""
    with _attempted(Attempt(db, "a token", address)):
        try:
            actor = tokens.authenticate(db, text.strip())
        except TendError:
            raise LoginRefused("This is no token that is valid now.") from None
        with db.transaction() as session:
            row = session.get_one(Token, int(str(actor.token).removeprefix("t-")))
            return sessions.begin(
                session,
                Proven(
                    row.name,
                    Role(row.role),
                    "token",
                    token=actor.token,
                    vouched_by=row.created_by,
                    vouched_account=row.created_account,
                    vouched_at=row.created_at,
                ),
            )


def with_provider(db: Database, shown: Callable[[], Proven], address: str) -> str:
    """The same by way of the login provider: `shown` asks it who this is."""
    with _attempted(Attempt(db, "the provider", address)):
        proven = shown()
        with db.transaction() as session:
            _must_be_whose_name_it_is(session, proven)
            return sessions.begin(session, proven)


def _must_be_whose_name_it_is(session: Session, proven: Proven) -> None:
    """A name is one account's for ever, so that nobody becomes another by being renamed."""
    known = session.get(ProviderAccount, proven.name, with_for_update=True)
    if known is None:
        known = ProviderAccount(
            name=proven.name, account=proven.account, created_at=database.now(session)
        )
        session.add(known)
        session.flush()
    if known.account != proven.account:
        raise LoginRefused(
            f"The name {proven.name} is another account's of the login provider, and stays so; "
            "ask who looks after the provider for a name of your own."
        )


@contextmanager
def _attempted(attempt: Attempt) -> Iterator[None]:
    """Count the attempt as failed before it is looked at, so that no two slip through at once."""
    number = _count(attempt)
    try:
        yield
    except LoginRefused as error:
        _record_failure(attempt, error)
        raise
    except ProviderUnreachable:
        _forget(attempt, number)
        raise
    _forget(attempt, number)


def _forget(attempt: Attempt, number: int) -> None:
    with attempt.db.transaction(durable=False) as session:
        session.execute(delete(LoginAttempt).where(LoginAttempt.id == number))


def _count(attempt: Attempt) -> int:
    with attempt.db.transaction(durable=False) as session:
        moment = database.now(session)
        session.execute(delete(LoginAttempt).where(LoginAttempt.at <= moment - WINDOW))
        name, address = digest(attempt.name), digest(attempt.address)
        of_name = _number(session, LoginAttempt.name == name)
        of_address = _number(session, LoginAttempt.address == address)
        is_named = attempt.name not in _UNNAMED
        if of_address >= MOST_OF_AN_ADDRESS or (is_named and of_name >= MOST_OF_A_NAME):
            raise LoginThrottled(
                "Too many logins have failed; wait a quarter of an hour, then try again."
            )
        row = LoginAttempt(at=moment, name=name, address=address)
        session.add(row)
        session.flush()
        return row.id


def _number(session: Session, condition: ColumnElement[bool]) -> int:
    return session.scalar(select(func.count(LoginAttempt.id)).where(condition)) or 0


def _record_failure(attempt: Attempt, error: LoginRefused) -> None:
    """Of the name only that of a user there is: people type passwords into the wrong field."""
    with attempt.db.transaction() as session:
        user = session.get(User, attempt.name)
        known = error.name if isinstance(error, NoRole) else "unknown"
        name = user.name if user is not None else known
        detail = {
            "disabled": user is not None and user.disabled_at is not None,
            "way": attempt.name if attempt.name in _UNNAMED else "password",
            "why": error.code,
        }
        entries.append(session, "login_failed", Actor(name, "claimed"), detail=detail)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
