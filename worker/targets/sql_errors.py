"""SQL errors turned into Tend's own, without the driver's text, which carries values."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy.exc import ArgumentError, DBAPIError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from worker.errors import (
    CollectionMissing,
    DeadlineExceeded,
    TargetConflict,
    TargetError,
    TargetRefused,
    TargetUnreachable,
)


class SessionEnded(TargetUnreachable):
    """A newer attempt ended this session, or the server stops: the fence says which."""


UNKNOWN_COMMIT = "{where} did not say whether it committed; the fence will tell."

_CONFLICT = "changed in the same moment; the batch is tried again."
_SLOW = "took longer than allowed; it is tried again later."
_FULL = "is out of connections, memory or disk; it is tried again later."
_AWAY = "does not answer; check the server and TEND_SQL_URL."
_CONSTRAINT = "has a constraint that refuses what the policy writes; nothing was changed."
_READ_ONLY = "is read-only: it is a standby or lacks permissions; check TEND_SQL_URL."
_DENIED = "does not allow this user the operation; grant it the privileges it needs."
_PASSWORD = "refused the user or password in TEND_SQL_URL."  # noqa: S105 - a sentence
_VALUE = "has a column whose type refuses a value of the policy; correct the value."
_MISSING = "changed its tables or columns meanwhile, or never had them; check the policy."

# By the longest beginning of the SQLSTATE that is listed here.
_STATES: dict[str, tuple[type[TargetError], str]] = {
    "40": (TargetConflict, _CONFLICT),
    "55P03": (TargetConflict, _CONFLICT),
    "57P01": (SessionEnded, _AWAY),
    "25P03": (DeadlineExceeded, _SLOW),
    "57014": (DeadlineExceeded, _SLOW),
    "08": (TargetUnreachable, _AWAY),
    "53": (TargetUnreachable, _FULL),
    "57": (TargetUnreachable, _AWAY),
    "58": (TargetUnreachable, _AWAY),
    "28": (TargetRefused, _PASSWORD),
    "42501": (TargetRefused, _DENIED),
    "25006": (TargetRefused, _READ_ONLY),
    "42P01": (CollectionMissing, _MISSING),
    "42703": (TargetError, _MISSING),
    "22": (TargetError, _VALUE),
    "23503": (TargetConflict, _CONFLICT),  # the application referred to a record that was to go
    "23": (TargetError, _CONSTRAINT),
}
_SQLITE: dict[str, tuple[type[TargetError], str]] = {
    "SQLITE_BUSY": (TargetConflict, _CONFLICT),
    "SQLITE_LOCKED": (TargetConflict, _CONFLICT),
    "SQLITE_INTERRUPT": (DeadlineExceeded, _SLOW),
    "SQLITE_CANTOPEN": (TargetUnreachable, "cannot be opened; check the path in TEND_SQL_URL."),
    "SQLITE_FULL": (TargetUnreachable, _FULL),
    "SQLITE_IOERR": (TargetUnreachable, _AWAY),
    "SQLITE_READONLY": (TargetRefused, _READ_ONLY),
    "SQLITE_NOTADB": (TargetError, "is no SQLite database; check the path in TEND_SQL_URL."),
    "SQLITE_CONSTRAINT_FOREIGNKEY": (TargetConflict, _CONFLICT),
    "SQLITE_CONSTRAINT": (TargetError, _CONSTRAINT),
}


@contextmanager
def translated(where: str) -> Iterator[None]:
    """Raise `TargetError`s in place of SQLAlchemy's; `where` names database and table."""
    try:
        yield
    except SQLAlchemyError as error:
        raise translate(error, where) from error


def translate(error: SQLAlchemyError, where: str) -> TargetError:
    if isinstance(error, PoolTimeout):
        return TargetUnreachable(f"{where} has no connection left for Tend; it is tried again.")
    if isinstance(error, ArgumentError):
        return TargetError(f"{where} cannot be used with this URL; check TEND_SQL_URL.")
    if not isinstance(error, DBAPIError) or error.orig is None:
        return TargetError(f"{where} failed with {type(error).__name__}; see the server's log.")
    if isinstance(error.orig, sqlite3.Error):
        return _of_sqlite(error.orig, where)
    return _of_postgres(error.orig, error.connection_invalidated, where)


def _of_postgres(error: Any, is_broken: bool, where: str) -> TargetError:
    state: str | None = getattr(error, "sqlstate", None)
    if state is None:  # no answer at all, or an answer to the attempt to connect
        text = str(error)
        if "authentication failed" in text or "no pg_hba.conf entry" in text:
            return TargetRefused(f"{where} {_PASSWORD}")
        if "does not exist" in text:
            return TargetError(f"{where} does not exist; check the names in TEND_SQL_URL.")
        return TargetUnreachable(f"{where} {_AWAY}")
    listed = next((state[:size] for size in (5, 2) if state[:size] in _STATES), None)
    if listed is None:
        kind = TargetUnreachable if is_broken else TargetError
        return kind(f"{where} refused the operation: SQLSTATE {state}; see the server's log.")
    raised, says = _STATES[listed]
    return raised(f"{where} {says}")


def _of_sqlite(error: sqlite3.Error, where: str) -> TargetError:
    name: str = getattr(error, "sqlite_errorname", type(error).__name__)
    listed = next((each for each in _SQLITE if name.startswith(each)), None)
    if listed is None:
        return TargetError(f"{where} refused the operation: {name}; see the policy's columns.")
    raised, says = _SQLITE[listed]
    return raised(f"{where} {says}")
