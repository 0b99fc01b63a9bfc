"""Errors over HTTP: their one form, and which status says what went wrong.

The statuses say over HTTP what exit codes say on the command line; `docs/api.md` has the table.
"""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel

from policies.errors import PolicyError, TendError
from worker.errors import (
    AnchorError,
    ArchiveAltered,
    ArchiveExpired,
    DatabaseNotMigrated,
    DatabaseUnreachable,
    HoldUnknown,
    LogAltered,
    LoginRefused,
    LoginThrottled,
    NotAllowed,
    NotLoggedIn,
    ProviderUnreachable,
    QueueUnreachable,
    SettingError,
    SubjectUnknown,
    TargetMissing,
    TargetRefused,
    TargetUnreachable,
    TokenRefused,
    UnknownEntry,
    UnknownPolicy,
    UnknownProbe,
    UnknownRecord,
    UnknownRun,
    UsageError,
)


class NotAuthenticated(TendError):
    """The request names nobody, and over HTTP nobody acts unnamed."""

    code = "not_authenticated"


STATUSES: tuple[tuple[type[TendError], HTTPStatus], ...] = (
    (NotAuthenticated, HTTPStatus.UNAUTHORIZED),
    (TokenRefused, HTTPStatus.UNAUTHORIZED),
    (NotLoggedIn, HTTPStatus.UNAUTHORIZED),
    (LoginThrottled, HTTPStatus.TOO_MANY_REQUESTS),
    (LoginRefused, HTTPStatus.UNAUTHORIZED),
    (NotAllowed, HTTPStatus.FORBIDDEN),
    (UnknownPolicy, HTTPStatus.NOT_FOUND),
    (UnknownProbe, HTTPStatus.NOT_FOUND),
    (UnknownRun, HTTPStatus.NOT_FOUND),
    (UnknownEntry, HTTPStatus.NOT_FOUND),
    (UnknownRecord, HTTPStatus.NOT_FOUND),
    (HoldUnknown, HTTPStatus.NOT_FOUND),
    (SubjectUnknown, HTTPStatus.NOT_FOUND),
    (ArchiveExpired, HTTPStatus.GONE),
    (UsageError, HTTPStatus.UNPROCESSABLE_ENTITY),
    (PolicyError, HTTPStatus.SERVICE_UNAVAILABLE),
    (SettingError, HTTPStatus.SERVICE_UNAVAILABLE),
    (TargetMissing, HTTPStatus.SERVICE_UNAVAILABLE),
    (TargetUnreachable, HTTPStatus.SERVICE_UNAVAILABLE),
    (TargetRefused, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseNotMigrated, HTTPStatus.SERVICE_UNAVAILABLE),
    (DatabaseUnreachable, HTTPStatus.SERVICE_UNAVAILABLE),
    (QueueUnreachable, HTTPStatus.SERVICE_UNAVAILABLE),
    (ProviderUnreachable, HTTPStatus.SERVICE_UNAVAILABLE),
    (AnchorError, HTTPStatus.SERVICE_UNAVAILABLE),
    (ArchiveAltered, HTTPStatus.INTERNAL_SERVER_ERROR),
    (LogAltered, HTTPStatus.INTERNAL_SERVER_ERROR),
    (TendError, HTTPStatus.CONFLICT),
)
"""The first that an error is one of; what no line names, the state of things refuses: 409."""


class Problem(BaseModel):
    """What is wrong, where, and what to do."""

    code: str
    message: str
    details: dict[str, Any]


class Failure(BaseModel):
    """The one form of an error."""

    status: Literal["error"]
    error: Problem


DOCUMENTED: dict[int | str, dict[str, Any]] = {
    int(status): {"model": Failure, "description": status.phrase}
    for status in sorted({*(status for _, status in STATUSES), HTTPStatus.BAD_REQUEST})
}
"""Every status that an operation may answer an error with, for its description."""


def status_of(error: TendError) -> HTTPStatus:
    return next(status for kind, status in STATUSES if isinstance(error, kind))


def failure(code: str, message: str, details: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The one form of an error, as the applications have it."""
    return {
        "status": "error",
        "error": {"code": code, "message": message, "details": details or {}},
    }


_CODES = {
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "content_too_large",
    HTTPStatus.INTERNAL_SERVER_ERROR: "unexpected",
}
_SAYS = {
    HTTPStatus.NOT_FOUND: "There is nothing at this path.",
    HTTPStatus.METHOD_NOT_ALLOWED: "This path does not take that method.",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "The request is larger than anything one could ask here.",
    HTTPStatus.REQUEST_TIMEOUT: "The request did not arrive in time.",
}


def refusal(status: HTTPStatus) -> dict[str, Any]:
    """What HTTP itself refuses, with the status's name as its code."""
    code = _CODES.get(status, status.name.lower())
    return failure(code, _SAYS.get(status, f"{status.phrase}."))


def unexpected(reference: str) -> dict[str, Any]:
    """What nobody foresaw: the log has the rest, in a line with the reference."""
    status = HTTPStatus.INTERNAL_SERVER_ERROR
    said = f"Something unexpected went wrong; the console's log has it as {reference}."
    return failure(_CODES[status], said, {"reference": reference})
