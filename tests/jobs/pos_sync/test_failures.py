"""The table of failure classes, row by row: what each provider sends, and what is done about it."""

import json
from typing import Any

import httpx
import pytest

from jobs.pos_sync.failures import (
    CLASSES,
    CODES,
    STATUSES,
    Kind,
    SyncFailed,
    of_answer,
    of_error,
)
from tests.jobs.pos_sync.provider import payload

GRAPHQL = {"extensions": {"code": "X"}, "message": "no"}


@pytest.mark.parametrize(
    ("kind", "cause", "action", "counts"),
    [
        ("timeout", "store", "retry", True),
        ("unreachable", "store", "retry", True),
        ("reset", "store", "retry", True),
        ("short_body", "store", "retry", True),
        ("server_error", "provider", "retry", True),
        ("throttled", "provider", "pause", False),
        ("not_json", "provider", "retry", True),
        ("unexpected_shape", "provider", "retry", True),
        ("too_large", "provider", "stop", True),
        ("unauthorized", "store", "refresh", False),
        ("revoked", "store", "person", False),
        ("client_refused", "us", "person", False),
        ("forbidden", "store", "person", False),
        ("retired", "us", "person", False),
        ("no_credentials", "store", "person", False),
        ("cursor_expired", "provider", "restart", False),
        ("cursor_endless", "provider", "stop", True),
        ("drift", "provider", "stop", True),
        ("shrunk", "store", "person", False),
        ("rejected", "us", "stop", True),
        ("redirected", "store", "stop", True),
        ("host_refused", "us", "person", False),
        ("limit_unknown", "us", "stop", False),
    ],
)
def test_each_class_is_handled_as_documented(
    kind: str, cause: str, action: str, counts: bool
) -> None:
    assert CLASSES[Kind(kind)][:3] == (cause, action, counts)


def test_every_class_has_its_row() -> None:
    assert set(CLASSES) == set(Kind)


@pytest.mark.parametrize(
    ("status", "name", "kind"),
    [
        (200, "synthetic/shopify_graphql_throttled_http200.json", Kind.THROTTLED),
        (200, "synthetic/shopify_graphql_products_page1.json", None),
        (403, "synthetic/shopify_nonexpiring_token_403.json", Kind.RETIRED),
        (401, "synthetic/shopify_refresh_token_orphaned_401.json", Kind.REVOKED),
        (400, "synthetic/lwa_invalid_grant_400.json", Kind.REVOKED),
        (401, "synthetic/lwa_invalid_client_401.json", Kind.CLIENT_REFUSED),
        (403, "synthetic/spapi_token_expired_403.json", Kind.UNAUTHORIZED),
        (429, "synthetic/spapi_quota_exceeded_429.json", Kind.THROTTLED),
        (429, "synthetic/square_rate_limited_429.json", Kind.THROTTLED),
        (200, "synthetic/square_search_catalog_page1.json", None),
        (200, "shopify/products.json", None),
    ],
)
def test_what_providers_send_falls_into_its_class(
    status: int, name: str, kind: Kind | None
) -> None:
    assert of_answer(status, json.loads(payload(name))) is kind


@pytest.mark.parametrize(("code", "kind"), sorted(CODES.items()))
def test_a_code_comes_before_the_status(code: str, kind: Kind) -> None:
    square = {"errors": [{"category": "X", "code": code}]}
    graphql = {"errors": [{"message": "no", "extensions": {"code": code}}], "data": None}
    assert of_answer(400, square) is kind
    assert of_answer(200, graphql) is kind
    assert of_answer(403, {"error": code}) is kind


@pytest.mark.parametrize(("status", "kind"), sorted(STATUSES.items()))
def test_a_status_without_a_body_has_its_class(status: int, kind: Kind) -> None:
    assert of_answer(status, None) is kind


@pytest.mark.parametrize(
    ("status", "document", "kind"),
    [
        (200, {}, None),
        (204, None, None),
        (500, None, Kind.SERVER_ERROR),
        (503, {"errors": []}, Kind.SERVER_ERROR),
        (599, None, Kind.SERVER_ERROR),
        (301, None, Kind.REDIRECTED),
        (304, None, Kind.REDIRECTED),
        (400, None, Kind.REJECTED),
        (404, None, Kind.REJECTED),
        (422, {"errors": {"base": ["no"]}}, Kind.REJECTED),
        (200, {"errors": [GRAPHQL]}, Kind.REJECTED),
        (200, {"errors": "no"}, Kind.REJECTED),
        (101, None, Kind.REJECTED),
        (200, {"errors": [{"message": "Invalid cursor for current sort"}]}, Kind.CURSOR_EXPIRED),
        (
            400,
            {"errors": [{"code": "InvalidInput", "message": "pageToken is not valid"}]},
            Kind.CURSOR_EXPIRED,
        ),
        (403, {"errors": [{"code": "Unauthorized", "details": ""}]}, Kind.FORBIDDEN),
    ],
)
def test_any_other_answer_has_a_class_too(status: int, document: Any, kind: Kind | None) -> None:
    assert of_answer(status, document) is kind


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (TimeoutError(), Kind.TIMEOUT),
        (httpx.ConnectTimeout("x"), Kind.TIMEOUT),
        (httpx.ReadTimeout("x"), Kind.TIMEOUT),
        (httpx.PoolTimeout("x"), Kind.TIMEOUT),
        (httpx.ConnectError("x"), Kind.UNREACHABLE),
        (httpx.ReadError("x"), Kind.RESET),
        (httpx.WriteError("x"), Kind.RESET),
        (httpx.RemoteProtocolError("Server disconnected"), Kind.RESET),
        (
            httpx.RemoteProtocolError("peer closed connection without complete message body"),
            Kind.SHORT_BODY,
        ),
        (httpx.DecodingError("x"), Kind.SHORT_BODY),
        (ConnectionResetError(), Kind.RESET),
    ],
)
def test_a_request_without_an_answer_has_a_class(error: Exception, kind: Kind) -> None:
    assert of_error(error) is kind


def test_a_mistake_of_our_own_is_no_failure_of_a_store() -> None:
    with pytest.raises(ZeroDivisionError):
        of_error(ZeroDivisionError())


def test_a_failure_says_where_and_what_in_a_sentence() -> None:
    failed = SyncFailed(Kind.FORBIDDEN, "shopify", "missing: read_products")
    assert str(failed) == "shopify: a permission is missing (missing: read_products)"
