"""Pages into a catalogue, on every kind of database: idempotent, ordered, careful at the end."""

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from multiprocessing import get_context
from typing import Any

import pytest
from pymongo.database import Database
from sqlalchemy import Connection

from jobs.pos_sync.catalog_sql import SqlCatalog
from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.passes import Overtaken, Pass, moment_text
from jobs.pos_sync.products import Drifted, Gone, Page, Product
from tests.jobs.pos_sync.shops import MongoShop, Shop, SqlShop
from worker.targets.sql_server import SqlServer

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)
FIRST = Pass(1, None, None, moment_text(NOW))


@pytest.fixture(params=["sqlite", "postgresql", "mongo"])
def shop(request: pytest.FixtureRequest) -> Iterator[Shop]:
    if request.param == "mongo":
        database: Database[dict[str, Any]] = request.getfixturevalue("mongo_database")
        mongo = MongoShop(database)
        mongo.open_store("rest", "https://pos.example.com", "mongo/1")
        yield mongo
        return
    fixture = {"sqlite": "sqlite_shop_url", "postgresql": "postgresql_shop_url"}[request.param]
    server = SqlServer(request.getfixturevalue(fixture))
    sql = SqlShop(server)
    sql.open_store("rest", "https://pos.example.com", "sql/1")
    yield sql
    server.close()


def product(of: str, price: str = "1.10", minutes: int = 0, part_of: str | None = None) -> Product:
    moment = NOW + timedelta(minutes=minutes)
    return Product(
        external_id=of, name="Tent", price=Decimal(price), moment=moment, part_of=part_of
    )


def page(*products: Product, gone: tuple[Gone, ...] = (), cursor: str | None = None) -> Page:
    return Page(products, gone, (), cursor)


def run(shop: Shop, number: int, *pages: Page, since: str | None = None) -> Pass:
    """A pass with these pages, ended."""
    assert shop.catalog.standing(shop.key) is None or number > 1
    at = shop.catalog.begin(shop.key, replace(FIRST, number=number, since=since))
    for one in pages:
        at = shop.catalog.write(shop.key, at, one)
    shop.catalog.finish(shop.key, at, None)
    return at


TEN = tuple(product(f"p{number}") for number in range(10))


def test_a_price_keeps_its_digits(shop: Shop) -> None:
    run(shop, 1, page(product("p1", "19.9900")))
    assert shop.prices() == {"p1": Decimal("19.9900")}


def test_a_negative_stock_is_written_as_it_is_told_and_one_that_is_not_told_is_left(
    shop: Shop,
) -> None:
    run(shop, 1, page(product("p1").model_copy(update={"stock": -3})))
    assert shop.stock("p1") == -3
    run(shop, 2, page(product("p1", minutes=5)))
    assert shop.stock("p1") == -3


def test_a_page_and_its_cursor_are_one(shop: Shop) -> None:
    at = shop.catalog.begin(shop.key, FIRST)
    written = shop.catalog.write(shop.key, at, page(product("p1"), cursor="next"))
    assert shop.catalog.standing(shop.key) == written
    assert written.cursor == "next"
    with pytest.raises(Overtaken):
        shop.catalog.write(shop.key, at, page(product("p2")))
    assert set(shop.prices()) == {"p1"}


def test_two_workers_cannot_begin_the_same_pass(shop: Shop) -> None:
    shop.catalog.begin(shop.key, FIRST)
    with pytest.raises(Overtaken):
        shop.catalog.begin(shop.key, replace(FIRST, number=2))


def test_a_page_that_comes_twice_changes_nothing_more(shop: Shop) -> None:
    run(shop, 1, page(*TEN, cursor="a"), page(*TEN))
    assert len(shop.prices()) == 10


def test_an_older_version_never_overwrites_a_newer_one(shop: Shop) -> None:
    newer, older = product("p1", "2.00", minutes=5), product("p1", "1.00")
    run(shop, 1, page(newer, cursor="a"), page(older))
    assert shop.prices() == {"p1": Decimal("2.00")}
    run(shop, 2, page(older), since=moment_text(NOW))
    assert shop.prices() == {"p1": Decimal("2.00")}


def test_of_two_versions_on_one_page_the_newer_one_stays(shop: Shop) -> None:
    run(shop, 1, page(product("p1", "2.00", minutes=5), product("p1", "1.00")))
    assert shop.prices() == {"p1": Decimal("2.00")}


def test_what_the_provider_deleted_goes_at_the_end_of_the_pass(shop: Shop) -> None:
    run(shop, 1, page(*TEN))
    at = shop.catalog.begin(shop.key, replace(FIRST, number=2, since=moment_text(NOW)))
    at = shop.catalog.write(shop.key, at, page(gone=(Gone("p1", NOW),)))
    assert "p1" in shop.prices()
    assert shop.catalog.finish(shop.key, at, None).deleted == 1
    assert "p1" not in shop.prices()


def test_an_item_takes_its_variations_with_it(shop: Shop) -> None:
    run(shop, 1, page(*TEN, product("v1", part_of="item"), product("v2", part_of="item")))
    run(shop, 2, page(gone=(Gone("item", NOW),)), since=moment_text(NOW))
    assert set(shop.prices()) == {one.external_id for one in TEN}


def test_a_deletion_older_than_the_record_means_another_life(shop: Shop) -> None:
    run(shop, 1, page(*TEN))
    run(shop, 2, page(gone=(Gone("p1", NOW - timedelta(days=1)),)), since=moment_text(NOW))
    assert "p1" in shop.prices()


def test_a_record_that_one_pass_missed_goes_after_the_second(shop: Shop) -> None:
    run(shop, 1, page(*TEN))
    run(shop, 2, page(*TEN[1:]))
    assert "p0" in shop.prices()
    run(shop, 3, page(*TEN[1:]))
    assert "p0" not in shop.prices()


def test_a_record_that_slipped_between_pages_once_stays(shop: Shop) -> None:
    run(shop, 1, page(*TEN))
    run(shop, 2, page(*TEN[1:]))
    run(shop, 3, page(*TEN))
    run(shop, 4, page(*TEN[1:]))
    assert len(shop.prices()) == 10


def test_a_pass_over_changes_alone_deletes_nothing_that_it_did_not_see(shop: Shop) -> None:
    run(shop, 1, page(*TEN))
    for number in (2, 3):
        run(shop, number, page(TEN[0]), since=moment_text(NOW))
    assert len(shop.prices()) == 10


def test_products_from_before_the_first_sync_count_as_missed(shop: Shop) -> None:
    shop.add("old")
    run(shop, 1, page(*TEN))
    assert "old" in shop.prices()
    run(shop, 2, page(*TEN))
    assert "old" not in shop.prices()


def test_an_empty_catalogue_is_a_question_to_a_person(shop: Shop) -> None:
    run(shop, 1, page(*TEN))
    at = shop.catalog.begin(shop.key, replace(FIRST, number=2))
    at = shop.catalog.write(shop.key, at, page())
    with pytest.raises(SyncFailed) as caught:
        shop.catalog.finish(shop.key, at, None)
    assert caught.value.kind == Kind.SHRUNK
    assert len(shop.prices()) == 10
    approved = shop.catalog.vanishing(shop.key, at).digest
    assert shop.catalog.finish(shop.key, at, approved).deleted == 10
    assert shop.prices() == {}


@pytest.mark.parametrize(("missing", "asks"), [(2, False), (3, True)])
def test_more_than_a_fifth_is_asked_for(missing: int, asks: bool, shop: Shop) -> None:
    run(shop, 1, page(*TEN))
    at = shop.catalog.begin(shop.key, replace(FIRST, number=2))
    at = shop.catalog.write(shop.key, at, page(*TEN[missing:]))
    if asks:
        with pytest.raises(SyncFailed):
            shop.catalog.finish(shop.key, at, "another diff")
    else:
        shop.catalog.finish(shop.key, at, None)
    assert len(shop.prices()) == 10


def test_a_record_that_could_not_be_read_is_not_missing(shop: Shop) -> None:
    run(shop, 1, page(*TEN))
    for number in (2, 3, 4):
        run(shop, number, Page(TEN[1:], (), (Drifted(0, "price: missing", "{}"),), None))
    assert "p0" in shop.prices()


def test_after_an_expired_cursor_the_pass_begins_again(shop: Shop) -> None:
    at = shop.catalog.begin(shop.key, FIRST)
    at = shop.catalog.write(shop.key, at, page(TEN[0], cursor="dead"))
    at = shop.catalog.restart(shop.key, at)
    assert (at.cursor, at.pages) == (None, 0)
    at = shop.catalog.restart(shop.key, at)
    with pytest.raises(SyncFailed) as caught:
        shop.catalog.restart(shop.key, at)
    assert caught.value.kind == Kind.CURSOR_ENDLESS


def test_a_cursor_that_leads_to_itself_is_noticed(shop: Shop) -> None:
    at = shop.catalog.begin(shop.key, FIRST)
    at = shop.catalog.write(shop.key, at, page(TEN[0], cursor="same"))
    with pytest.raises(SyncFailed) as caught:
        shop.catalog.write(shop.key, at, page(TEN[0], cursor="same"))
    assert caught.value.kind == Kind.CURSOR_ENDLESS


def test_the_application_is_told_how_the_store_is(shop: Shop) -> None:
    shop.catalog.tell(shop.key, "degraded", None)
    assert shop.told() == ("degraded", False)
    shop.catalog.tell(shop.key, "healthy", moment_text(NOW))
    assert shop.told() == ("healthy", True)


def _write_and_die(url: str) -> None:
    """A worker that is killed after the page is written and before its transaction ends."""
    shop = SqlShop(SqlServer(url), is_new=False)

    @contextmanager
    def killed() -> Iterator[Connection]:
        with shop.writing() as connection:
            yield connection
            os.kill(os.getpid(), signal.SIGKILL)

    standing = shop.catalog.standing(shop.key)
    assert standing is not None
    SqlCatalog(killed).write(shop.key, standing, page(product("p1", "2.00", 5), cursor="next"))


@pytest.mark.system
def test_a_worker_killed_between_page_and_cursor_leaves_neither(postgresql_shop_url: str) -> None:
    server = SqlServer(postgresql_shop_url)
    shop = SqlShop(server)
    begun = shop.catalog.begin(shop.key, FIRST)
    worker = get_context("spawn").Process(target=_write_and_die, args=(postgresql_shop_url,))
    worker.start()
    worker.join(120)
    assert worker.exitcode == -signal.SIGKILL
    assert shop.prices() == {}
    assert shop.catalog.standing(shop.key) == begun
    shop.catalog.write(shop.key, begun, page(product("p1")))
    assert shop.prices() == {"p1": Decimal("1.10")}
    server.close()


@pytest.mark.parametrize("shop", ["sqlite", "postgresql"], indirect=True)
def test_what_an_order_refers_to_is_kept(shop: Shop) -> None:
    assert isinstance(shop, SqlShop)
    run(shop, 1, page(*TEN))
    shop.order("p1")
    at = shop.catalog.begin(shop.key, replace(FIRST, number=2, since=moment_text(NOW)))
    at = shop.catalog.write(shop.key, at, page(gone=(Gone("p1", NOW), Gone("p2", NOW))))
    finished = shop.catalog.finish(shop.key, at, None)
    assert (finished.deleted, finished.kept) == (1, 1)
    assert set(shop.prices()) == {one.external_id for one in TEN} - {"p2"}
