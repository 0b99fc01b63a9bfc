"""Local users of the console: made by an admin, with a password of their own, until disabled.

A user and a token with one name are one person. There is no default user and no default password.
"""

from datetime import timedelta

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from worker import database, passwords
from worker.audit import entries
from worker.console import sessions
from worker.database import Database
from worker.errors import NotAllowed, UsageError
from worker.identity import Actor, Role
from worker.operations import Person
from worker.tables import ConsoleSession, LoginLink, Token, User
from worker.tokens import NAME

LINK_LIFETIME = timedelta(minutes=15)


def create(db: Database, name: str, role: Role, password: str, person: Person) -> User:
    """Make a user. While there is no admin, whoever reaches the control database makes that one."""
    if not NAME.fullmatch(name):
        raise UsageError(
            f"'{name}' is no name for a user: 2 to 63 small letters, digits, dots and hyphens, "
            "beginning with a letter and not with tend-, such as ann."
        )
    passwords.must_be_good(password)
    kept = passwords.hashed(password)
    with db.transaction() as session:
        _must_be_allowed_to_create(session, role, person.actor)
        if session.get(User, name) is not None:
            raise UsageError(
                f"There is a user {name} already; `tend user password {name}` gives them another "
                "password, and lets them in again if they were disabled."
            )
        moment = database.now(session)
        user = User(
            name=name,
            role=role,
            password=kept,
            password_at=moment,
            password_by=person.actor.name,
            password_account=person.actor.account,
            created_at=moment,
            created_by=person.actor.name,
            reason=person.reason,
        )
        session.add(user)
        _record(session, "user_created", user, person)
        return user


def set_password(db: Database, name: str, password: str, person: Person) -> User:
    """Give a user another password, and let them in again; their sessions end."""
    passwords.must_be_good(password)
    kept = passwords.hashed(password)
    with db.transaction() as session:
        _must_be_admin(person.actor)
        user = get(session, name)
        user.password = kept
        user.password_at = database.now(session)
        user.password_by = person.actor.name
        user.password_account = person.actor.account
        user.disabled_at = user.disabled_by = None
        sessions.end_all(session, name)
        _record(session, "user_password_set", user, person)
        return user


def disable(db: Database, name: str, person: Person) -> User:
    """Let a user in no longer, from their next request on; what they did stays on record."""
    with db.transaction() as session:
        _must_be_admin(person.actor)
        user = get(session, name)
        if user.disabled_at is not None:
            raise UsageError(f"{name} was disabled by {user.disabled_by}.")
        user.disabled_at = database.now(session)
        user.disabled_by = person.actor.name
        sessions.end_all(session, name)
        session.execute(
            update(LoginLink).where(LoginLink.user == name).values(expires_at=user.disabled_at)
        )
        _record(session, "user_disabled", user, person)
        return user


def end_sessions(db: Database, name: str, person: Person) -> int:
    """Log a person out everywhere, however they came in; returns from how many sessions.

    They may log in again: what shows who they are stays as it is.
    """
    with db.transaction() as session:
        _must_be_admin(person.actor)
        if not _has_been_here(session, name):
            raise UsageError(
                f"Nobody called '{name}' has ever logged in; `tend audit list --action logged_in` "
                "shows who has."
            )
        number = sessions.end_all(session, name)
        detail = {"user": name, "sessions": number, "reason": person.reason}
        entries.append(session, "sessions_ended", person.actor, detail=detail)
        return number


def login_link(db: Database, name: str, person: Person) -> str:
    """What lets its holder in as this user, once, within the next minutes."""
    with db.transaction() as session:
        _must_be_admin(person.actor)
        user = get(session, name)
        if user.disabled_at is not None:
            raise UsageError(f"{name} is disabled and cannot log in.")
        moment = database.now(session)
        secret = sessions.new_secret()
        session.add(
            LoginLink(
                digest=sessions.digest(secret),
                user=name,
                created_at=moment,
                created_by=person.actor.name,
                created_account=person.actor.account,
                expires_at=moment + LINK_LIFETIME,
            )
        )
        _record(session, "login_link_created", user, person)
        return secret


def get(session: Session, name: str) -> User:
    user = session.get(User, name, with_for_update=True)
    if user is None:
        raise UsageError(f"There is no user '{name}'; `tend user list` shows those there are.")
    return user


def _must_be_allowed_to_create(session: Session, role: Role, actor: Actor) -> None:
    if actor.role == Role.ADMIN:
        return
    if _there_is_an_admin(session):
        raise NotAllowed("Only an admin may create users: set TEND_TOKEN to an admin's.")
    if role != Role.ADMIN:
        raise NotAllowed(
            "There is no admin yet: create that user first, with --role admin, or an admin's "
            "token with `tend token create`."
        )


def _must_be_admin(actor: Actor) -> None:
    if actor.role != Role.ADMIN:
        raise NotAllowed("Only an admin may change users: set TEND_TOKEN to an admin's.")


def _there_is_an_admin(session: Session) -> bool:
    token = select(Token.id).where(
        Token.role == Role.ADMIN,
        Token.revoked_at.is_(None),
        Token.expires_at > database.now(session),
    )
    user = select(User.name).where(User.role == Role.ADMIN, User.disabled_at.is_(None))
    return any(session.scalar(each.limit(1)) is not None for each in (token, user))


def _has_been_here(session: Session, name: str) -> bool:
    theirs = select(ConsoleSession.id).where(ConsoleSession.name == name)
    return session.scalar(theirs.limit(1)) is not None


def _record(session: Session, action: str, user: User, person: Person) -> None:
    detail = {"user": user.name, "role": str(user.role), "reason": person.reason}
    entries.append(session, action, person.actor, detail=detail)
