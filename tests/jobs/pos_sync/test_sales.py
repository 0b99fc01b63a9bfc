"""Orders become sales: exactly once, the newest version, and none goes because it was not seen."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from multiprocessing import get_context
from typing import Any

import pytest
import redis
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database as Records

from jobs.pos_sync.attempt import Ended
from jobs.pos_sync.connectors import ORDERS
from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.passes import Overtaken, Pass, moment_text
from jobs.pos_sync.sales import Sale, SalesPage
from jobs.pos_sync.sales_mongo import MongoSales
from tests.jobs.pos_sync.conftest import Connect
from tests.jobs.pos_sync.desk import NOW, TOKENS, Book, Desk
from tests.jobs.pos_sync.provider import Answer, Asked, Provider, said
from tests.jobs.pos_sync.shops import MongoShop
from worker.database import Database

FIRST = Pass(1, moment_text(NOW - timedelta(days=60)), None, moment_text(NOW))
SINCE = datetime(2026, 11, 20, 9, 0, tzinfo=UTC)
STORE = "mongo/1"
NO_PRODUCTS = {"edges": [], "pageInfo": {"hasNextPage": False, "endCursor": None}}


@pytest.fixture
def books(mongo_database: Records[dict[str, Any]]) -> MongoShop:
    """The application's database, with a store that belongs to somebody."""
    shop = MongoShop(mongo_database)
    shop.open_store("shopify", "tents.myshopify.com", STORE)
    mongo_database.stores.update_one({"_id": "1"}, {"$set": {"userId": "ann"}})
    return shop


@pytest.fixture
def sales(books: MongoShop) -> MongoSales:
    return MongoSales(books.writing)


def sale(line: str, quantity: int = 1, minutes: int = 0) -> Sale:
    return Sale(
        line=line,
        order=line.partition("/")[0],
        product="p1",
        name="Tent",
        quantity=quantity,
        revenue=Decimal("19.99") * quantity,
        currency="EUR",
        sold_at=NOW - timedelta(days=1),
        moment=NOW + timedelta(minutes=minutes),
    )


def page(*sales: Sale, cursor: str | None = None) -> SalesPage:
    return SalesPage(sales, (), cursor)


def quantities(books: MongoShop) -> dict[str, int]:
    return {one["_id"]: one["quantity"] for one in books.database.salesData.find()}


def run(sales: MongoSales, number: int, *pages: SalesPage) -> None:
    at = sales.begin(STORE, Pass(number, FIRST.since, None, moment_text(NOW)))
    for one in pages:
        at = sales.write(STORE, at, one)
    sales.finish(STORE, at)


def test_a_line_becomes_a_record_with_its_owner_and_its_money_as_it_is(
    books: MongoShop, sales: MongoSales
) -> None:
    run(sales, 1, page(sale("o1/a", 2)))
    (record,) = books.database.salesData.find()
    assert record["revenue"].to_decimal() == Decimal("39.98")
    del record["revenue"]
    assert record == {
        "_id": "mongo/1/o1/a",
        "userId": "ann",
        "storeId": "1",
        "orderId": "o1",
        "productId": "p1",
        "productName": "Tent",
        "sku": None,
        "quantity": 2,
        "currency": "EUR",
        "date": NOW - timedelta(days=1),
        "createdAt": NOW,
        "sourceUpdatedAt": NOW,
    }


def test_what_comes_twice_counts_once_and_an_older_version_changes_nothing(
    books: MongoShop, sales: MongoSales
) -> None:
    newer, older = sale("o1/a", 3, minutes=5), sale("o1/a", 1)
    run(sales, 1, page(newer, older, cursor="two"), page(newer))
    assert quantities(books) == {"mongo/1/o1/a": 3}
    run(sales, 2, page(older))
    assert quantities(books) == {"mongo/1/o1/a": 3}


def test_what_was_cancelled_is_kept_with_nothing_sold_and_what_is_not_seen_stays(
    books: MongoShop, sales: MongoSales
) -> None:
    run(sales, 1, page(sale("o1/a"), sale("o2/a")))
    run(sales, 2, page(sale("o1/a", 0, minutes=9)))
    assert quantities(books) == {"mongo/1/o1/a": 0, "mongo/1/o2/a": 1}
    run(sales, 3, page())
    assert quantities(books) == {"mongo/1/o1/a": 0, "mongo/1/o2/a": 1}


def test_a_page_and_its_cursor_are_one_and_products_have_a_walk_of_their_own(
    books: MongoShop, sales: MongoSales
) -> None:
    begun = sales.begin(STORE, FIRST)
    written = sales.write(STORE, begun, page(sale("o1/a"), cursor="next"))
    assert sales.standing(STORE) == written
    with pytest.raises(Overtaken):
        sales.write(STORE, begun, page(sale("o9/a")))
    assert quantities(books) == {"mongo/1/o1/a": 1}
    assert books.catalog.standing(STORE) is None


def _write_and_die(url: str, name: str) -> None:
    """A worker that is killed after the page is written and before its transaction ends."""
    shop = MongoShop(MongoClient(url, tz_aware=True)[name])

    @contextmanager
    def killed() -> Iterator[tuple[Records[dict[str, Any]], ClientSession]]:
        with shop.writing() as (database, session):
            yield database, session
            os.kill(os.getpid(), signal.SIGKILL)

    MongoSales(killed).write(STORE, FIRST, page(sale("o1/a", 5), cursor="next"))


@pytest.mark.system
def test_a_worker_killed_between_page_and_cursor_leaves_neither(
    books: MongoShop, sales: MongoSales, mongo_url: str
) -> None:
    begun = sales.begin(STORE, FIRST)
    database = books.database
    worker = get_context("spawn").Process(target=_write_and_die, args=(mongo_url, database.name))
    worker.start()
    worker.join(120)
    assert worker.exitcode == -signal.SIGKILL
    assert quantities(books) == {}
    assert sales.standing(STORE) == begun


def order(number: int, **fields: Any) -> dict[str, Any]:
    price = {"shopMoney": {"amount": "19.99", "currencyCode": "EUR"}}
    line = {
        "id": f"gid://shopify/LineItem/{number}",
        "title": "Tent",
        "sku": "T-1",
        "currentQuantity": 2,
        "variant": {"id": "gid://shopify/ProductVariant/808950810"},
        "discountedUnitPriceAfterAllDiscountsSet": price,
    }
    return {
        "id": f"gid://shopify/Order/{number}",
        "createdAt": "2026-11-20T10:00:00Z",
        "updatedAt": "2026-11-20T11:00:00Z",
        "cancelledAt": None,
        "lineItems": {"nodes": [line], "pageInfo": {"hasNextPage": False}},
        **fields,
    }


def orders(*nodes: dict[str, Any], cursor: str | None = None) -> Answer:
    more = {"hasNextPage": cursor is not None, "endCursor": cursor}
    return said({"data": {"orders": {"nodes": list(nodes), "pageInfo": more}}})


def test_shopify_orders_become_sales(shop: Provider, connect: Connect) -> None:
    cancelled = order(2, cancelledAt="2026-11-20T11:00:00Z")
    many = order(3)
    many["lineItems"]["pageInfo"] = {"hasNextPage": True}
    shop.script.append(orders(order(1), cancelled, many, cursor="MORE"))
    found = ORDERS["shopify"].page(connect(), TOKENS, None, SINCE)
    assert [(one.quantity, one.revenue) for one in found.sales] == [(2, Decimal("39.98")), (0, 0)]
    assert found.sales[0].product == "gid://shopify/ProductVariant/808950810"
    assert [one.differs for one in found.drifted] == ["lineItems: too_long"]
    assert found.cursor == "MORE"
    variables = shop.asked[0].json["variables"]
    assert variables == {"after": None, "query": "updated_at:>='2026-11-20T09:00:00+00:00'"}


def test_a_missing_scope_for_orders_is_named(shop: Provider, connect: Connect) -> None:
    denied = {"message": "Access denied", "extensions": {"code": "ACCESS_DENIED"}}
    shop.script.append(said({"errors": [denied]}))
    with pytest.raises(SyncFailed) as caught:
        ORDERS["shopify"].page(connect(), TOKENS, None, SINCE)
    assert (caught.value.kind, caught.value.detail) == (Kind.FORBIDDEN, "missing: read_orders")


def amazon(asked: Asked) -> Answer:
    if asked.path.endswith("/orderItems"):
        more = "NextToken" not in asked.query
        item = {
            "OrderItemId": "1" if more else "2",
            "SellerSKU": "T-1",
            "Title": "Tent",
            "QuantityOrdered": 2,
            "ItemPrice": {"Amount": "40.00", "CurrencyCode": "EUR"},
            "PromotionDiscount": {"Amount": "1.50", "CurrencyCode": "EUR"},
        }
        next_token = {"NextToken": "ITEMS"} if more else {}
        return said({"payload": {"OrderItems": [item], **next_token}})
    dates = {"PurchaseDate": "2026-11-20T10:00:00Z", "LastUpdateDate": "2026-11-20T11:00:00Z"}
    states = ("Shipped", "Canceled", "Pending")
    found = [{"AmazonOrderId": f"902-{one}", "OrderStatus": one, **dates} for one in states]
    return said({"payload": {"Orders": found, "NextToken": "LIST"}})


def test_amazon_orders_become_sales_with_the_items_of_each(
    shop: Provider, connect: Connect
) -> None:
    shop.route = amazon
    found = ORDERS["amazon"].page(connect(), TOKENS, None, SINCE)
    assert [(one.line, one.quantity, one.revenue) for one in found.sales] == [
        ("902-Shipped/1", 2, Decimal("38.50")),
        ("902-Shipped/2", 2, Decimal("38.50")),
        ("902-Canceled/1", 0, Decimal(0)),
        ("902-Canceled/2", 0, Decimal(0)),
    ]
    assert found.cursor == "LIST"
    first = shop.asked[0]
    assert (first.path, first.query["LastUpdatedAfter"]) == (
        "/orders/v0/orders",
        "2026-11-20T09:00:00Z",
    )
    ORDERS["amazon"].page(connect(), TOKENS, "LIST", SINCE)
    assert [one.query for one in shop.asked if "NextToken" in one.query and "Max" in str(one)] == [
        {"MarketplaceIds": "ATVPDKIKX0DER", "MaxResultsPerPage": "20", "NextToken": "LIST"}
    ]


def test_an_answer_of_another_shape_is_a_failure_and_no_empty_page(
    shop: Provider, connect: Connect
) -> None:
    for provider in ("shopify", "amazon"):
        shop.script.append(said({}))
        with pytest.raises(SyncFailed) as caught:
            ORDERS[provider].page(connect(), TOKENS, None, SINCE)
        assert caught.value.kind == Kind.UNEXPECTED_SHAPE


@pytest.fixture
def desk(
    migrated_sqlite_url: str, books: MongoShop, shop: Provider, redis_url: str
) -> Iterator[Desk]:
    control = Database(migrated_sqlite_url)
    books.database.stores.delete_many({})
    with redis.Redis.from_url(redis_url) as client:
        yield Desk(Book(control), books, shop, client)
    control.close()


def with_orders(*pages: Answer) -> Any:
    """Shopify with an empty catalogue and these orders, the last page for ever."""
    left = list(pages)

    def route(asked: Asked) -> Answer:
        if "orders(" not in asked.json["query"]:
            return said({"data": {"products": NO_PRODUCTS}})
        return left.pop(0) if len(left) > 1 else left[0]

    return route


def test_a_sync_reads_the_orders_too_and_goes_on_from_the_newest(
    desk: Desk, books: MongoShop
) -> None:
    store = desk.open("shopify")
    books.database.stores.update_one({"_id": "1"}, {"$set": {"userId": "ann"}})
    desk.provider.route = with_orders(orders(order(1), cursor="two"), orders(order(2)))
    result = desk.attend(store)
    assert result.synced is not None
    assert (result.ended, result.synced.sales) == (Ended.SYNCED, 2)
    assert len(quantities(books)) == 2
    assert desk.steps(store) == [("sync", "ok"), ("orders", "ok")]
    desk.attend(store)
    asked = [one.json["variables"] for one in desk.provider.asked]
    wanted = [one["query"] for one in asked if (one["query"] or "").startswith("updated_at")]
    back = desk.now - timedelta(hours=7) - timedelta(days=60)
    assert wanted[0] == f"updated_at:>='{back.isoformat()}'"
    assert wanted[-1] == "updated_at:>='2026-11-20T10:55:00+00:00'"


def test_orders_that_fail_degrade_the_store_and_are_read_on_from_their_cursor(
    desk: Desk, books: MongoShop
) -> None:
    store = desk.open("shopify")
    books.database.stores.update_one({"_id": "1"}, {"$set": {"userId": "ann"}})
    desk.provider.route = with_orders(orders(order(1), cursor="two"), Answer(404))
    assert desk.attend(store).ended == Ended.FAILED
    assert (desk.row(store).condition, len(quantities(books))) == ("degraded", 1)
    desk.provider.route = with_orders(orders(order(2)))
    assert desk.attend(store).ended == Ended.SYNCED
    afters = [one.json["variables"]["after"] for one in desk.provider.asked]
    assert afters[-1] == "two"
    assert len(quantities(books)) == 2


def test_of_a_store_that_belongs_to_nobody_no_orders_are_read(desk: Desk, books: MongoShop) -> None:
    store = desk.open("shopify")
    desk.provider.route = with_orders(orders(order(1)))
    assert desk.attend(store).ended == Ended.SYNCED
    assert desk.steps(store) == [("sync", "ok")]
    assert quantities(books) == {}
