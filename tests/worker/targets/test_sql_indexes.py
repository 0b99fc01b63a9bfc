"""Indexes on PostgreSQL and SQLite: which there are, and building one beside an application."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import text

from tests.worker.targets.shops import Site
from worker.errors import TargetError, TargetRefused
from worker.indexes.creating import IndexBusy, left_invalid, must_be_free
from worker.indexes.wanted import Wanted
from worker.targets.indexes import Index, IndexNotBuilt
from worker.targets.sql_indexes import SqlIndexes

ROWS = 5_000
PATIENCE = 60.0
STOCK = Wanted("products", ("stock",), target="sql")


def shop(site: Site) -> Site:
    site.run("CREATE TABLE products (id integer PRIMARY KEY, stock int, name text)")
    return site


@pytest.fixture
def products(site: Site) -> Site:
    return shop(site)


@pytest.fixture
def indexes(site: Site) -> Iterator[SqlIndexes]:
    with SqlIndexes(site.url) as opened:
        yield opened


@pytest.fixture
def on_postgres(postgres_site: Site) -> Site:
    """Three products, two of them with the same stock."""
    shop(postgres_site).run("INSERT INTO products VALUES (1, 7, 'a'), (2, 7, 'b'), (3, 8, 'c')")
    return postgres_site


def of(indexes: SqlIndexes, name: str) -> Index:
    (found,) = [each for each in indexes.existing()["products"] if each.name == name]
    return found


def test_an_index_serves_what_it_begins_with(products: Site, indexes: SqlIndexes) -> None:
    products.run("CREATE INDEX two ON products (stock, name)")
    both = of(indexes, "two")
    assert both.serves(["stock"])
    assert both.serves(["stock", "name"])
    assert not both.serves(["name"])
    assert both.size is None or both.size > 0


def test_the_primary_key_is_an_index_too(products: Site, indexes: SqlIndexes) -> None:
    assert any(each.serves(["id"]) for each in indexes.existing()[STOCK.collection])
    products.run("CREATE TABLE pairs (a text, b text, PRIMARY KEY (a, b))")
    assert any(each.serves(["a", "b"]) for each in indexes.existing()["pairs"])


def test_an_index_of_some_rows_or_of_an_expression_does_not_serve(
    products: Site, indexes: SqlIndexes
) -> None:
    products.run(
        "CREATE INDEX partly ON products (stock) WHERE id > 5",
        "CREATE INDEX lowered ON products (lower(name))",
    )
    found = indexes.existing()["products"]
    assert not any(each.serves(["stock"]) or each.serves(["name"]) for each in found)


def test_an_index_is_built_under_a_name_that_is_free(products: Site, indexes: SqlIndexes) -> None:
    products.run("CREATE INDEX products_stock_idx ON products (name)")
    assert indexes.create("products", ["stock"]) == "products_stock_idx1"
    assert of(indexes, "products_stock_idx1").serves(["stock"])
    assert indexes.create("products", ["name", "stock"]) == "products_name_stock_idx"


def test_an_estimate_is_near_what_the_index_takes(products: Site, indexes: SqlIndexes) -> None:
    with products.engine.begin() as connection:
        connection.execute(
            text("INSERT INTO products VALUES (:n, :n, :name)"),
            [{"n": number, "name": f"product {number}"} for number in range(ROWS)],
        )
    for fields in (["stock"], ["name"], ["name", "stock"]):
        estimated = indexes.estimate("products", fields)
        size = of(indexes, indexes.create("products", fields)).size
        assert size is None or estimated / 3 <= size <= estimated * 3


def test_an_empty_table_has_an_index_of_no_size(products: Site, indexes: SqlIndexes) -> None:
    assert products.rows("SELECT * FROM products") == []
    assert indexes.estimate("products", ["stock"]) == 0


def test_a_column_that_is_not_there_is_refused(products: Site, indexes: SqlIndexes) -> None:
    before = indexes.existing()
    with pytest.raises(TargetError, match="has no column 'colour'"):
        indexes.create("products", ["colour"])
    assert indexes.existing() == before
    assert products.rows("SELECT * FROM products") == []


def test_a_table_of_another_schema_is_found_by_both_its_names(on_postgres: Site) -> None:
    on_postgres.run(
        "CREATE SCHEMA till", "CREATE TABLE till.receipts (id int PRIMARY KEY, sum int)"
    )
    with SqlIndexes(on_postgres.url) as indexes:
        assert indexes.create("till.receipts", ["sum"]) == "receipts_sum_idx"
        made, _ = sorted(
            indexes.existing()["till.receipts"], key=lambda each: each.name, reverse=True
        )
        assert made.serves(["sum"])
        assert indexes.existing()["public.products"] == indexes.existing()["products"]


def test_a_partitioned_table_is_refused_with_what_to_do(on_postgres: Site) -> None:
    on_postgres.run("CREATE TABLE sales (id int PRIMARY KEY, sum int) PARTITION BY RANGE (id)")
    with (
        SqlIndexes(on_postgres.url) as indexes,
        pytest.raises(TargetError, match="create one on each partition"),
    ):
        indexes.create("sales", ["sum"])


def test_a_user_who_does_not_own_the_table_is_refused(login: str) -> None:
    with SqlIndexes(login) as indexes, pytest.raises(TargetRefused, match="does not allow"):
        indexes.create("products", ["stock"])


@contextmanager
def waiting_build(site: Site, indexes: SqlIndexes) -> Iterator[list[Exception]]:
    """A build that waits for the application's open transaction, which ends with the block."""
    failed: list[Exception] = []

    def build() -> None:
        try:
            indexes.create("products", ["stock"])
        except TargetError as error:
            failed.append(error)

    thread = threading.Thread(target=build)
    with site.engine.connect() as application:
        application.execute(text("UPDATE products SET stock = 9 WHERE id = 3"))
        thread.start()
        until = time.monotonic() + PATIENCE
        while "waiting for" not in (indexes.progress("products") or ""):
            assert time.monotonic() < until
            assert thread.is_alive()
        yield failed
    thread.join(PATIENCE)
    assert not thread.is_alive()


def test_a_build_that_runs_is_seen_and_refuses_another(on_postgres: Site) -> None:
    with SqlIndexes(on_postgres.url) as indexes:
        with waiting_build(on_postgres, indexes) as failed:
            assert of(indexes, "products_stock_idx").is_building
            with pytest.raises(IndexBusy, match="products_stock_idx is being built"):
                must_be_free(Wanted("products", ("name",), target="sql"), indexes.existing())
        assert failed == []
        assert of(indexes, "products_stock_idx").serves(["stock"])
        assert indexes.progress("products") is None


def test_a_build_that_fails_leaves_nothing_and_says_so(on_postgres: Site) -> None:
    """PostgreSQL itself would leave an invalid index."""
    with SqlIndexes(on_postgres.url) as indexes:
        with waiting_build(on_postgres, indexes) as failed:
            on_postgres.run(
                "SELECT pg_cancel_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND query LIKE 'CREATE INDEX CONCURRENTLY%'"
            )
        (error,) = failed
        assert isinstance(error, IndexNotBuilt)
        assert "took longer than allowed" in str(error)
        assert "The invalid index products_stock_idx that the build left is dropped." in str(error)
        assert [each.name for each in indexes.existing()["products"]] == ["products_pkey"]


def test_what_another_build_left_invalid_does_not_serve_and_can_be_dropped(
    on_postgres: Site,
) -> None:
    with on_postgres.engine.connect() as connection, pytest.raises(Exception, match="duplicate"):
        connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql(
            "CREATE UNIQUE INDEX CONCURRENTLY left_over ON products (stock)"
        )
    with SqlIndexes(on_postgres.url) as indexes:
        found = of(indexes, "left_over")
        assert (found.is_invalid, found.serves(["stock"])) == (True, False)
        assert left_invalid(STOCK, indexes.existing()) == ["left_over"]
        indexes.drop_invalid("products", "left_over")
        assert left_invalid(STOCK, indexes.existing()) == []
