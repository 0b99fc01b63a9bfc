"""What can go wrong between Tend and a store, each class with what is done about it.

`CLASSES` is the one table of handling; `CODES` and `STATUSES` say which answers belong to which
class. What a provider says in its body comes before the status: Shopify throttles inside a 200,
Amazon says that a token expired with a 403.
"""

from collections.abc import Iterator, Mapping
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Literal, NamedTuple

import httpx

from policies.errors import TendError

Cause = Literal["us", "store", "provider"]
Action = Literal["retry", "pause", "refresh", "person", "restart", "stop"]


class Kind(StrEnum):
    """A class of failure; entries, notices and `tend pos status` carry it."""

    TIMEOUT = "timeout"
    UNREACHABLE = "unreachable"
    RESET = "reset"
    SHORT_BODY = "short_body"
    SERVER_ERROR = "server_error"
    THROTTLED = "throttled"
    NOT_JSON = "not_json"
    UNEXPECTED_SHAPE = "unexpected_shape"
    TOO_LARGE = "too_large"
    UNAUTHORIZED = "unauthorized"
    REVOKED = "revoked"
    CLIENT_REFUSED = "client_refused"
    FORBIDDEN = "forbidden"
    RETIRED = "retired"
    NO_CREDENTIALS = "no_credentials"
    CURSOR_EXPIRED = "cursor_expired"
    CURSOR_ENDLESS = "cursor_endless"
    DRIFT = "drift"
    SHRUNK = "shrunk"
    REJECTED = "rejected"
    REDIRECTED = "redirected"
    HOST_REFUSED = "host_refused"
    LIMIT_UNKNOWN = "limit_unknown"


class Handling(NamedTuple):
    """Whose fault it is, what is done, and whether the breaker counts it."""

    cause: Cause
    action: Action
    counts: bool
    says: str


CLASSES: Mapping[Kind, Handling] = MappingProxyType(
    {
        Kind.TIMEOUT: Handling("store", "retry", True, "the store did not answer in time"),
        Kind.UNREACHABLE: Handling("store", "retry", True, "the store cannot be reached"),
        Kind.RESET: Handling("store", "retry", True, "the connection broke off"),
        Kind.SHORT_BODY: Handling("store", "retry", True, "the answer was cut off"),
        Kind.SERVER_ERROR: Handling("provider", "retry", True, "the provider has an error"),
        Kind.THROTTLED: Handling("provider", "pause", False, "the provider asks for a pause"),
        Kind.NOT_JSON: Handling("provider", "retry", True, "the answer is not JSON"),
        Kind.UNEXPECTED_SHAPE: Handling(
            "provider", "retry", True, "the answer has not the documented shape"
        ),
        Kind.TOO_LARGE: Handling("provider", "stop", True, "the answer is too large to read"),
        Kind.UNAUTHORIZED: Handling("store", "refresh", False, "the access token is refused"),
        Kind.REVOKED: Handling("store", "person", False, "the authorisation was taken back"),
        Kind.CLIENT_REFUSED: Handling("us", "person", False, "our application's secret is refused"),
        Kind.FORBIDDEN: Handling("store", "person", False, "a permission is missing"),
        Kind.RETIRED: Handling("us", "person", False, "this kind of token is no longer accepted"),
        Kind.NO_CREDENTIALS: Handling("store", "person", False, "no credentials are set"),
        Kind.CURSOR_EXPIRED: Handling("provider", "restart", False, "the cursor expired"),
        Kind.CURSOR_ENDLESS: Handling("provider", "stop", True, "the cursor never ends"),
        Kind.DRIFT: Handling("provider", "stop", True, "too many records have another shape"),
        Kind.SHRUNK: Handling("store", "person", False, "too many products would vanish"),
        Kind.REJECTED: Handling("us", "stop", True, "the provider rejects our request"),
        Kind.REDIRECTED: Handling("store", "stop", True, "the store redirects to elsewhere"),
        Kind.HOST_REFUSED: Handling("us", "person", False, "the store's address is not allowed"),
        Kind.LIMIT_UNKNOWN: Handling("us", "stop", False, "Redis does not answer"),
    }
)

CODES: Mapping[str, Kind] = MappingProxyType(
    {
        "THROTTLED": Kind.THROTTLED,  # Shopify GraphQL, inside a 200
        "QuotaExceeded": Kind.THROTTLED,  # Amazon
        "RATE_LIMITED": Kind.THROTTLED,  # Square
        "invalid_grant": Kind.REVOKED,  # OAuth
        "invalid_client": Kind.CLIENT_REFUSED,
        "unauthorized_client": Kind.CLIENT_REFUSED,
        "ACCESS_TOKEN_EXPIRED": Kind.UNAUTHORIZED,  # Square
        "ACCESS_TOKEN_REVOKED": Kind.REVOKED,
        "INSUFFICIENT_SCOPES": Kind.FORBIDDEN,
        "ACCESS_DENIED": Kind.FORBIDDEN,  # Shopify GraphQL
        "INVALID_CURSOR": Kind.CURSOR_EXPIRED,  # Square
        "cursor_expired": Kind.CURSOR_EXPIRED,  # the generic REST connector
        "INTERNAL_SERVER_ERROR": Kind.SERVER_ERROR,  # Shopify GraphQL
        "InternalFailure": Kind.SERVER_ERROR,  # Amazon
        "ServiceUnavailable": Kind.SERVER_ERROR,
    }
)

SENTENCES: Mapping[str, Kind] = MappingProxyType(
    {
        "access token you provided has expired": Kind.UNAUTHORIZED,  # Amazon, with a 403
        "requires an active refresh_token": Kind.REVOKED,  # Shopify: a refresh answer was lost
        "non-expiring access tokens are no longer accepted": Kind.RETIRED,  # Shopify
        "invalid cursor": Kind.CURSOR_EXPIRED,  # Shopify GraphQL
        "pagetoken": Kind.CURSOR_EXPIRED,  # Amazon: InvalidInput about its pageToken
        "nexttoken": Kind.CURSOR_EXPIRED,  # the same of orders
    }
)
"""Where no code tells two things apart, a part of the message that does."""

STATUSES: Mapping[int, Kind] = MappingProxyType(
    {
        401: Kind.UNAUTHORIZED,
        402: Kind.FORBIDDEN,
        403: Kind.FORBIDDEN,
        408: Kind.TIMEOUT,
        410: Kind.CURSOR_EXPIRED,
        425: Kind.SERVER_ERROR,
        429: Kind.THROTTLED,
        430: Kind.THROTTLED,  # Shopify's own
        504: Kind.TIMEOUT,
    }
)


class SyncFailed(TendError):
    """A store could not be asked, or answered with something that is no answer."""

    code = "pos_sync_failed"

    def __init__(self, kind: Kind, where: str, detail: str = "", wait: float | None = None) -> None:
        self.kind = kind
        self.wait = wait
        """Seconds that the provider asks for, with `THROTTLED`."""
        self.detail = detail
        more = f" ({detail})" if detail else ""
        super().__init__(f"{where}: {CLASSES[kind].says}{more}")

    @property
    def handling(self) -> Handling:
        return CLASSES[self.kind]


def of_answer(status: int, document: Any) -> Kind | None:
    """The class of an answer by its parsed body and status; None is a success.

    An answer without a body that can be parsed has `document` None.
    """
    said = tuple(_said(document)) if status >= 400 or _has_errors(document) else ()
    for text in said:
        if text in CODES:
            return CODES[text]
    for text in said:
        for part, kind in SENTENCES.items():
            if part in text.casefold():
                return kind
    if status in STATUSES:
        return STATUSES[status]
    if status >= 500:
        return Kind.SERVER_ERROR
    if 300 <= status < 400:
        return Kind.REDIRECTED
    return Kind.REJECTED if status >= 400 or said or status < 200 else None


def of_error(error: Exception) -> Kind:
    """The class of a request that got no whole answer."""
    match error:
        case TimeoutError() | httpx.TimeoutException():
            return Kind.TIMEOUT
        case httpx.ConnectError():
            return Kind.UNREACHABLE
        case httpx.RemoteProtocolError() if "complete message body" in str(error):
            return Kind.SHORT_BODY
        case httpx.DecodingError():
            return Kind.SHORT_BODY
        case httpx.TransportError() | OSError():
            return Kind.RESET
    raise error


def _has_errors(document: Any) -> bool:
    return isinstance(document, dict) and bool(document.get("errors") or document.get("error"))


def _said(document: Any) -> Iterator[str]:
    """Every code and message of an error body, in whichever of the providers' shapes."""
    match document:
        case str():
            yield document
        case list():
            for one in document:
                yield from _said(one)
        case dict():
            for key in ("code", "category", "error", "errors", "extensions"):
                yield from _said(document.get(key))
            for key in ("message", "detail", "details", "error_description"):
                yield from _said(document.get(key))
