"""Each provider's pages, checks and tokens, as its payloads say them, over real sockets."""

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from pydantic import SecretStr

from jobs.pos_sync.connectors import CONNECTORS
from jobs.pos_sync.credentials import Credentials, credentials_of
from jobs.pos_sync.failures import Kind, SyncFailed
from tests.jobs.pos_sync.conftest import Connect
from tests.jobs.pos_sync.desk import NOW
from tests.jobs.pos_sync.provider import Answer, Provider, file, payload, said

HELD = Credentials(
    access_token=SecretStr("ACCESS"),
    refresh_token=SecretStr("REFRESH"),
    client_id=SecretStr("CLIENT"),
    client_secret=SecretStr("KEEP"),
    seller_id="A/1",
    marketplace_id="ATVPDKIKX0DER",
)
SINCE = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
SHOPIFY, SQUARE, AMAZON, REST = (
    CONNECTORS[name] for name in ("shopify", "square", "amazon", "rest")
)


def amazon_page() -> Any:
    (case, *_) = json.loads(
        payload("amazon_spapi/listingsItems_2021-08-01.searchListingsItems.200.sandbox.json")
    )
    return case["response"]


def rest_page(*products: dict[str, Any], cursor: str | None = None) -> Answer:
    return said({"products": products, "next_cursor": cursor})


def sold(**fields: Any) -> dict[str, Any]:
    return {"id": "1", "name": "Tent", "updated_at": "2026-11-20T10:00:00Z", **fields}


def test_shopify_variants_become_products(shop: Provider, connect: Connect) -> None:
    shop.script.append(file("synthetic/shopify_graphql_products_page1.json"))
    page = SHOPIFY.page(connect(), HELD, "CURSOR", SINCE)
    (found,) = page.products
    assert (found.name, found.price, found.stock) == ("IPod Nano - 8GB", Decimal("199.00"), 10)
    assert page.cursor == "eyJsYXN0X2lkIjo2MzI5MTA"
    (asked,) = shop.asked
    assert asked.headers["x-shopify-access-token"] == "ACCESS"
    assert asked.json["variables"] == {
        "after": "CURSOR",
        "query": "updated_at:>='2026-11-20T09:00:00+00:00'",
    }


def test_a_shopify_product_that_is_not_active_counts_as_gone(
    shop: Provider, connect: Connect
) -> None:
    document = json.loads(payload("synthetic/shopify_graphql_products_page1.json"))
    document["data"]["products"]["edges"][0]["node"]["status"] = "ARCHIVED"
    shop.script.append(said(document))
    page = SHOPIFY.page(connect(), HELD, None, None)
    assert page.products == ()
    assert [one.external_id for one in page.gone] == ["gid://shopify/ProductVariant/808950810"]


def test_shopify_with_more_variants_than_a_page_holds_is_drift(
    shop: Provider, connect: Connect
) -> None:
    document = json.loads(payload("synthetic/shopify_graphql_products_page1.json"))
    variants = document["data"]["products"]["edges"][0]["node"]["variants"]
    variants["pageInfo"] = {"hasNextPage": True}
    shop.script.append(said(document))
    page = SHOPIFY.page(connect(), HELD, None, None)
    assert page.products == ()
    assert [one.differs for one in page.drifted] == ["variants: too_long"]


def test_shopify_says_by_its_cost_how_long_to_rest() -> None:
    throttled = json.loads(payload("synthetic/shopify_graphql_throttled_http200.json"))
    assert SHOPIFY.observe(throttled) == 7
    assert (
        SHOPIFY.observe(json.loads(payload("synthetic/shopify_graphql_products_page1.json"))) == 0
    )
    assert SHOPIFY.observe(None) == 0


def test_shopify_that_throttles_inside_a_200_is_left_alone_until_the_query_can_be_paid(
    shop: Provider, connect: Connect
) -> None:
    throttled = json.loads(payload("synthetic/shopify_graphql_throttled_http200.json"))
    throttled["extensions"]["cost"]["throttleStatus"]["restoreRate"] = 0.5
    shop.script.append(said(throttled))
    for _ in range(2):  # the second worker does not even ask
        http = connect(until=NOW + timedelta(minutes=1))
        http.observe = SHOPIFY.observe
        with pytest.raises(SyncFailed) as caught:
            SHOPIFY.page(http, HELD, None, None)
        assert caught.value.kind == Kind.THROTTLED
        assert caught.value.wait is not None
        assert 60 < caught.value.wait <= SHOPIFY.observe(throttled)
    assert len(shop.asked) == 1


def test_shopify_may_be_asked_every_500_ms_and_no_faster() -> None:
    assert (SHOPIFY.pace.requests, SHOPIFY.pace.seconds, SHOPIFY.pace.burst) == (2, 1, 1)


def test_a_shopify_scope_that_is_missing_is_named(shop: Provider, connect: Connect) -> None:
    scopes = [{"handle": "read_products"}]
    installed = {"currentAppInstallation": {"accessScopes": scopes}}
    shop.script.append(said({"data": installed}))
    with pytest.raises(SyncFailed) as caught:
        SHOPIFY.check(connect(), HELD)
    assert caught.value.kind == Kind.FORBIDDEN
    assert caught.value.detail == "missing: read_inventory"
    scopes.append({"handle": "read_inventory"})
    shop.script.append(said({"data": installed}))
    SHOPIFY.check(connect(), HELD)


def test_square_pages_come_with_variations_and_deletions(shop: Provider, connect: Connect) -> None:
    shop.script.append(file("synthetic/square_search_catalog_page1.json"))
    shop.script.append(file("synthetic/square_search_catalog_page2_last.json"))
    first = SQUARE.page(connect(), HELD, None, SINCE)
    last = SQUARE.page(connect(), HELD, first.cursor, SINCE)
    assert [one.external_id for one in first.products] == ["VAR0001", "VAR0002", "VAR0003"]
    assert [str(one.price) for one in first.products] == ["9.96", "9.97", "9.98"]
    assert [one.external_id for one in last.products] == ["VAR0003", "VAR0004"]
    assert [one.external_id for one in last.gone] == ["ITEM0005"]
    assert (first.cursor, last.cursor) == ("CURSOR-PAGE-2", None)
    assert [one.json.get("cursor") for one in shop.asked] == [None, "CURSOR-PAGE-2"]


def test_an_empty_square_page_is_empty_only_with_its_time(shop: Provider, connect: Connect) -> None:
    shop.script.append(said({"latest_time": "2026-11-20T10:00:00Z"}))
    assert SQUARE.page(connect(), HELD, None, None).products == ()
    shop.script.append(said({}))
    with pytest.raises(SyncFailed) as caught:
        SQUARE.page(connect(), HELD, None, None)
    assert caught.value.kind == Kind.UNEXPECTED_SHAPE


def test_amazon_listings_become_products(shop: Provider, connect: Connect) -> None:
    document = amazon_page()
    shop.script.append(said(document))
    page = AMAZON.page(connect(), HELD, "TOKEN", SINCE)
    assert page.drifted == ()
    assert [one.external_id for one in page.products] == [one["sku"] for one in document["items"]]
    assert page.cursor == document["pagination"]["nextToken"]
    (asked,) = shop.asked
    assert asked.path == "/listings/2021-08-01/items/A%2F1"
    assert asked.query["pageToken"] == "TOKEN"
    assert asked.headers["x-amz-access-token"] == "ACCESS"


def test_amazon_prices_are_decimals(shop: Provider, connect: Connect) -> None:
    document = amazon_page()
    shop.script.append(said(document))
    offer = document["items"][0]["offers"][0]["price"]
    page = AMAZON.page(connect(), HELD, None, None)
    assert page.products[0].price == Decimal(str(offer["amount"]))


def test_an_empty_object_is_no_empty_amazon_page(shop: Provider, connect: Connect) -> None:
    shop.script.append(said({}))
    with pytest.raises(SyncFailed) as caught:
        AMAZON.page(connect(), HELD, None, None)
    assert caught.value.kind == Kind.UNEXPECTED_SHAPE


def test_rest_pages_come_as_documented(shop: Provider, connect: Connect) -> None:
    shop.script.append(
        rest_page(
            sold(price="129.90", currency="EUR", stock=-2, sku="T-1"),
            sold(id="2", deleted=True),
            cursor="NEXT",
        )
    )
    page = REST.page(connect(), HELD, None, SINCE)
    assert (page.products[0].price, page.products[0].stock) == (Decimal("129.90"), -2)
    assert [one.external_id for one in page.gone] == ["2"]
    assert page.cursor == "NEXT"
    assert shop.asked[0].query == {"limit": "200", "updated_since": SINCE.isoformat()}


@pytest.mark.parametrize(
    ("fields", "differs"),
    [
        ({"price": "free"}, "price: decimal_parsing"),
        ({"price": "-1"}, "price: greater_than_equal"),
        ({"name": None}, "name: string_type"),
        ({"updated_at": "2026-11-20T10:00:00"}, "updated_at: timezone_aware"),
        ({"id": 7}, "id: string_type"),
    ],
)
def test_a_record_of_another_shape_is_set_aside_and_the_others_go_on(
    fields: dict[str, Any], differs: str, shop: Provider, connect: Connect
) -> None:
    shop.script.append(rest_page(sold(**fields), sold(id="good")))
    page = REST.page(connect(), HELD, None, None)
    assert [one.external_id for one in page.products] == ["good"]
    assert [(one.number, one.differs) for one in page.drifted] == [(0, differs)]


def test_a_rest_status_that_is_not_ok_is_a_failure(shop: Provider, connect: Connect) -> None:
    shop.script.append(said({"status": "ok"}))
    REST.check(connect(), HELD)
    shop.script.append(said({"status": "down"}))
    with pytest.raises(SyncFailed) as caught:
        REST.check(connect(), HELD)
    assert caught.value.kind == Kind.SERVER_ERROR


@pytest.mark.parametrize(
    ("name", "path", "answer"),
    [
        (
            "shopify",
            "/admin/oauth/access_token",
            {
                "access_token": "NEW",
                "refresh_token": "NEXT",
                "expires_in": 3600,
                "refresh_token_expires_in": 7200,
            },
        ),
        (
            "square",
            "/oauth2/token",
            {"access_token": "NEW", "refresh_token": "NEXT", "expires_at": "2026-11-22T04:00:00Z"},
        ),
        (
            "amazon",
            "/auth/o2/token",
            {"access_token": "NEW", "refresh_token": "NEXT", "expires_in": 3600},
        ),
    ],
)
def test_a_refresh_brings_new_tokens_and_their_ends(
    name: str, path: str, answer: dict[str, Any], shop: Provider, connect: Connect
) -> None:
    shop.script.append(said(answer))
    fresh = CONNECTORS[name].refresh(connect(), HELD, NOW)
    assert (fresh.need("access_token"), fresh.need("refresh_token")) == ("NEW", "NEXT")
    assert fresh.access_expires == NOW + timedelta(hours=1)
    assert shop.asked[0].path == path


@pytest.mark.parametrize("name", ["shopify", "square", "amazon"])
def test_a_refresh_whose_answer_is_lost_is_not_repeated(
    name: str, shop: Provider, connect: Connect
) -> None:
    shop.route = lambda _asked: Answer(reset=True, declared=99)
    with pytest.raises(SyncFailed) as caught:
        CONNECTORS[name].refresh(connect(attempts=4), HELD, NOW)
    assert caught.value.kind == Kind.RESET
    assert len(shop.asked) == 1


def test_a_token_that_cannot_be_refreshed_needs_a_person(connect: Connect) -> None:
    for connector in (REST, SQUARE, SHOPIFY):
        with pytest.raises(SyncFailed) as caught:
            connector.refresh(connect(), Credentials(access_token=SecretStr("OLD")), NOW)
        assert caught.value.kind == Kind.REVOKED


@pytest.mark.parametrize(
    "domain",
    [
        "evil.example#.myshopify.com",
        "shop.myshopify.com.evil.example",
        "shop.myshopify.com\n",
        "https://127.0.0.1",
        "shop.myshopify.com/admin",
        "SHOP.myshopify.com",
        "",
    ],
)
def test_a_shop_domain_is_a_whole_one_or_refused(domain: str) -> None:
    with pytest.raises(SyncFailed) as caught:
        SHOPIFY.address(domain, frozenset())
    assert caught.value.kind == Kind.HOST_REFUSED


def test_a_plain_shop_domain_becomes_its_address() -> None:
    assert SHOPIFY.address("my-shop.myshopify.com", frozenset()) == "https://my-shop.myshopify.com"


@pytest.mark.parametrize(
    "url",
    [
        "http://pos.example.com",
        "https://user:pass@pos.example.com",
        "https://10.0.0.1",
        "https://localhost",
        "https://[::1]",
        "https://pos.example.com/?a=b",
        "ftp://pos.example.com",
        "https://pos.example.com:99999",
    ],
)
def test_the_address_of_a_store_is_public_and_encrypted(url: str) -> None:
    with pytest.raises(SyncFailed) as caught:
        REST.address(url, frozenset())
    assert caught.value.kind == Kind.HOST_REFUSED


def test_an_address_in_the_shops_own_network_has_to_be_listed() -> None:
    assert REST.address("http://10.0.0.1:8080/", frozenset({"10.0.0.1:8080"})) == (
        "http://10.0.0.1:8080"
    )
    with pytest.raises(SyncFailed):
        REST.address("http://10.0.0.1:8081/", frozenset({"10.0.0.1:8080"}))


def test_credentials_are_read_and_never_shown() -> None:
    held = credentials_of('{"access_token": "SECRET"}', ("access_token",))
    assert "SECRET" not in repr(held)
    for text in ('{"access_token": "SECRET", "x": 1}', "SECRET", '{"refresh_token": "SECRET"}'):
        with pytest.raises(SyncFailed) as caught:
            credentials_of(text, ("access_token",))
        assert "SECRET" not in str(caught.value)
        assert caught.value.__cause__ is None


def test_credentials_die_when_the_first_lasting_part_does() -> None:
    later, sooner = NOW + timedelta(days=90), NOW + timedelta(days=30)
    assert HELD.with_answer(refresh_expires=later, secret_expires=sooner).dies == sooner
    assert HELD.with_answer(access_expires=sooner).dies is None
    assert Credentials(access_expires=sooner).dies == sooner
