"""Whatever a provider does, the caller gets a whole answer or one class of failure."""

import json
from datetime import timedelta
from decimal import Decimal

import pytest
import redis

from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.limits import Limits, Pace
from tests.jobs.pos_sync.conftest import Connect
from tests.jobs.pos_sync.desk import NOW
from tests.jobs.pos_sync.provider import Answer, Provider, deaf, file, payload, said

GOOD = said({"price": 1})


def failure(connect: Connect, **rules: object) -> SyncFailed:
    with pytest.raises(SyncFailed) as caught:
        connect(**rules).ask("GET", "/products")
    return caught.value


@pytest.mark.parametrize(
    ("answer", "kind"),
    [
        (Answer(reset=True, declared=900, body=b'{"products": ['), Kind.RESET),
        (Answer(declared=900, body=b'{"products": ['), Kind.SHORT_BODY),
        (file("synthetic/truncated_200.json"), Kind.NOT_JSON),
        (file("synthetic/gateway_503.html"), Kind.NOT_JSON),
        (file("synthetic/gateway_503.html", status=503), Kind.SERVER_ERROR),
        (Answer(body=b""), Kind.NOT_JSON),
        (Answer(body=b'{"price": NaN}'), Kind.NOT_JSON),
        (Answer(504, b""), Kind.TIMEOUT),
        (file("synthetic/square_rate_limited_429.json", status=429), Kind.THROTTLED),
        (file("synthetic/shopify_graphql_throttled_http200.json"), Kind.THROTTLED),
        (Answer(302, b"", {"location": "http://169.254.169.254/latest"}), Kind.REDIRECTED),
        (Answer(body=b"{}", headers={"content-encoding": "gzip"}), Kind.SHORT_BODY),
    ],
)
def test_an_answer_that_is_none_is_one_class_of_failure(
    answer: Answer, kind: Kind, shop: Provider, connect: Connect
) -> None:
    shop.script.append(answer)
    assert failure(connect).kind == kind
    assert len(shop.asked) == 1


def test_prices_keep_every_digit(shop: Provider, connect: Connect) -> None:
    shop.script.append(Answer(body=b'{"price": 19.990000000000000001}'))
    assert connect().ask("GET", "/products") == {"price": Decimal("19.990000000000000001")}


def test_a_server_that_says_nothing_is_given_up(shop: Provider, connect: Connect) -> None:
    shop.script.append(Answer(hang=True))
    assert failure(connect, total_seconds=0.3).kind == Kind.TIMEOUT


def test_a_server_that_drips_headers_and_body_for_ever_is_given_up(
    shop: Provider, connect: Connect
) -> None:
    shop.script.append(Answer(drip=True, declared=10**9))
    assert failure(connect, total_seconds=0.5).kind == Kind.TIMEOUT
    shop.script.append(Answer(drip=True, declared=10**9, headers={"x": "y" * 10_000}))
    assert failure(connect, total_seconds=0.5).kind == Kind.TIMEOUT


def test_a_connection_that_nobody_takes_is_given_up(connect: Connect) -> None:
    with deaf() as place:
        http = connect(f"http://{place}", private=frozenset({place}), connect_seconds=0.2)
        with pytest.raises(SyncFailed) as caught:
            http.ask("GET", "/")
    assert caught.value.kind == Kind.TIMEOUT


def test_a_port_where_nobody_listens_is_unreachable(connect: Connect) -> None:
    http = connect("http://127.0.0.1:9", private=frozenset({"127.0.0.1:9"}))
    with pytest.raises(SyncFailed) as caught:
        http.ask("GET", "/")
    assert caught.value.kind == Kind.UNREACHABLE


def test_a_host_in_a_private_network_is_not_asked_unless_it_is_allowed(
    shop: Provider, connect: Connect
) -> None:
    assert failure(connect, private=frozenset()).kind == Kind.HOST_REFUSED
    assert shop.asked == []


@pytest.mark.parametrize("path", ["//elsewhere.example/", "/../admin", "elsewhere"])
def test_a_path_that_leads_elsewhere_is_refused(
    path: str, shop: Provider, connect: Connect
) -> None:
    with pytest.raises(SyncFailed) as caught:
        connect().ask("GET", path)
    assert caught.value.kind == Kind.HOST_REFUSED
    assert shop.asked == []


def test_what_may_pass_is_tried_again_with_the_same_request(
    shop: Provider, connect: Connect
) -> None:
    shop.script.extend([Answer(502, b""), Answer(reset=True, declared=9), GOOD])
    body = {"query": "x"}
    assert connect(attempts=4).ask("POST", "/products", body=body) == {"price": 1}
    assert [json.loads(one.body) for one in shop.asked] == [body] * 3


def test_a_refusal_is_not_tried_again(shop: Provider, connect: Connect) -> None:
    shop.route = lambda _asked: Answer(401)
    assert failure(connect, attempts=4).kind == Kind.UNAUTHORIZED
    assert len(shop.asked) == 1


def test_attempts_end_with_the_number_of_them(shop: Provider, connect: Connect) -> None:
    shop.route = lambda _asked: Answer(500, b"")
    assert failure(connect, attempts=3).kind == Kind.SERVER_ERROR
    assert len(shop.asked) == 3


def test_no_attempt_passes_the_next_scheduled_sync(shop: Provider, connect: Connect) -> None:
    shop.route = lambda _asked: Answer(429, b"", {"retry-after": "30"})
    failed = failure(connect, attempts=4, until=NOW + timedelta(seconds=10))
    assert (failed.kind, failed.wait) == (Kind.THROTTLED, 30)
    assert len(shop.asked) == 1


def test_a_pause_that_is_asked_for_holds_every_worker_up(shop: Provider, connect: Connect) -> None:
    shop.script.append(Answer(429, b"", {"retry-after": "40"}))
    failure(connect)
    other = failure(connect, until=NOW + timedelta(seconds=10))
    assert other.kind == Kind.THROTTLED
    assert len(shop.asked) == 1


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({"retry-after": "600"}, 600),
        ({"retry-after": "600.5"}, 600.5),
        ({"retry-after": "Sun, 22 Nov 2026 03:10:00 GMT"}, 600),
        ({"retry-after": "Sun, 22 Nov 2026 02:10:00 GMT"}, 1),
        ({"retry-after": "99999999"}, 6 * 3600),
        ({}, 60),
    ],
)
def test_a_429_is_waited_for_in_every_form_and_by_every_worker(
    headers: dict[str, str], seconds: float, shop: Provider, connect: Connect, redis_url: str
) -> None:
    shop.script.append(Answer(429, b"", headers))
    assert failure(connect).wait == seconds
    with redis.Redis.from_url(redis_url) as client:
        left = client.pttl("tend:pos:pause:store 1")
    assert isinstance(left, int)
    assert left <= seconds * 1000
    assert left > 0 or seconds == 1


def test_after_a_short_pause_the_request_is_made_again(shop: Provider, connect: Connect) -> None:
    shop.script.extend([Answer(429, b"", {"retry-after": "1"}), GOOD])
    assert connect(attempts=2).ask("GET", "/products") == {"price": 1}


def test_the_budget_of_a_provider_ends_second_attempts(
    shop: Provider, connect: Connect, redis_url: str
) -> None:
    shop.route = lambda _asked: Answer(500, b"")
    http = connect(attempts=4)
    with redis.Redis.from_url(redis_url) as client:
        http.limits = Limits(client, budget=Pace(2, 7200, 2))
        with pytest.raises(SyncFailed):
            http.ask("GET", "/products")
        assert len(shop.asked) == 3
        with pytest.raises(SyncFailed):
            http.ask("GET", "/products")
    assert len(shop.asked) == 4


def test_without_redis_no_request_is_made(shop: Provider, connect: Connect) -> None:
    http = connect(pace=Pace(1, 1))
    with redis.Redis.from_url("redis://127.0.0.1:9/0") as nobody:
        http.limits = Limits(nobody)
        with pytest.raises(SyncFailed) as caught:
            http.ask("GET", "/products")
    assert caught.value.kind == Kind.LIMIT_UNKNOWN
    assert shop.asked == []


def test_no_error_holds_anything_of_the_answer(shop: Provider, connect: Connect) -> None:
    shop.script.append(said({"error": "invalid_grant", "token": "SECRET"}, 400))
    failed = failure(connect)
    assert failed.kind == Kind.REVOKED
    assert "SECRET" not in str(failed)
    assert payload("synthetic/truncated_200.json")[:9].decode() not in str(failed)
