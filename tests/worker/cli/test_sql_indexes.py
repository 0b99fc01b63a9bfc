"""`tend indexes` of a site whose records are in SQL."""

import os
from typing import Any

import pytest
from sqlalchemy import create_engine, make_url, text
from sqlalchemy.exc import IntegrityError

from tests.worker.cli.conftest import Tend

TABLES = (
    "CREATE TABLE stores (id integer PRIMARY KEY, name text)",
    """CREATE TABLE products (id integer PRIMARY KEY, store_id integer, external_id text,
        stock int, price numeric, updated_at timestamp)""",
    "INSERT INTO stores VALUES (1, 'a')",
    "INSERT INTO products VALUES (1, 1, 'x', 7, 1, NULL), (2, 1, 'y', 7, 1, NULL)",
)
STOCK = "sql/products.stock"


def execute(url: str, *statements: str) -> None:
    driver = "sqlite" if url.startswith("sqlite") else "postgresql+psycopg"
    engine = create_engine(make_url(url).set(drivername=driver), isolation_level="AUTOCOMMIT")
    try:
        with engine.connect() as connection:
            for statement in statements:
                connection.execute(text(statement))
    finally:
        engine.dispose()


def asked(url: str, query: str) -> list[tuple[Any, ...]]:
    driver = "sqlite" if url.startswith("sqlite") else "postgresql+psycopg"
    engine = create_engine(make_url(url).set(drivername=driver))
    try:
        with engine.connect() as connection:
            return [tuple(row) for row in connection.execute(text(query))]
    finally:
        engine.dispose()


@pytest.fixture(params=["sqlite", "postgresql"])
def kiosk(request: pytest.FixtureRequest, bare: Tend) -> Tend:
    """A site with nothing but a SQL database, of either kind, without an index."""
    return _kiosk(bare, str(request.getfixturevalue(f"{request.param}_shop_url")))


@pytest.fixture
def on_postgres(bare: Tend, postgresql_shop_url: str) -> Tend:
    return _kiosk(bare, postgresql_shop_url)


def _kiosk(tend: Tend, url: str) -> Tend:
    execute(url, *TABLES)
    tend.setting("TEND_SQL_URL", url)
    for variable in ("TEND_MONGO_URL", "TEND_MONGO_READ_URL"):
        tend.patch.delenv(variable)
    return tend


def rows(tend: Tend) -> dict[str, dict[str, Any]]:
    return {each["index"]: each for each in tend.json("indexes")["indexes"]}


def test_what_policies_on_sql_need_is_listed_and_nothing_else(kiosk: Tend) -> None:
    found = rows(kiosk)
    assert {name.partition("/")[0] for name in found} == {"sql"}
    assert found["sql/stores.id"]["state"] == "present"
    assert found["sql/stores.id"]["needed_by"] == ["orphaned-products"]
    assert found[STOCK]["state"] == "missing"
    assert found[STOCK]["needed_by"] == ["negative-stock"]
    assert found[STOCK]["estimated_bytes"] > 0


def test_with_what_is_listed_as_needed_no_policy_lacks_an_index(kiosk: Tend) -> None:
    def lacking() -> list[str]:
        checks = kiosk("doctor", "--json").json["checks"]
        return [check["check"] for check in checks if "has no index" in check["says"]]

    assert lacking()
    for name, row in rows(kiosk).items():
        if row["needed_by"] and row["state"] == "missing":
            made = kiosk("indexes", "create", name, "--reason", "CASE-3")
            assert made.code == 0, made.err
            assert made.err.startswith(f"{name} will take about ")
    assert lacking() == []
    assert {row["state"] for row in rows(kiosk).values() if row["needed_by"]} == {"present"}


def test_what_an_earlier_build_left_is_shown_and_dropped_first(
    on_postgres: Tend, postgresql_shop_url: str
) -> None:
    with pytest.raises(Exception, match="duplicate"):
        execute(
            postgresql_shop_url, "CREATE UNIQUE INDEX CONCURRENTLY left_over ON products (stock)"
        )
    assert rows(on_postgres)[STOCK]["state"] == "invalid"
    made = on_postgres("indexes", "create", STOCK, "--reason", "CASE-3")
    assert made.code == 0
    assert "left_over is invalid, left by a build that failed; it is dropped first." in made.err
    assert rows(on_postgres)[STOCK]["name"] == "products_stock_idx"
    entries = on_postgres.json("audit", "list", "--action", "index_requested")["entries"]
    assert entries[0]["body"]["detail"]["dropping"] == ["left_over"]


PRODUCTS = "sql/products.store_id,external_id"
AGREE = "INSERT INTO products (id, store_id, external_id) VALUES (3, 1, 'x')"


def test_the_index_of_products_is_unique(kiosk: Tend) -> None:
    url = os.environ["TEND_SQL_URL"]
    execute(url, "CREATE INDEX slow ON products (store_id, external_id)")
    execute(url, "INSERT INTO products (id, store_id) VALUES (8, 1), (9, 1)")
    assert (rows(kiosk)[PRODUCTS]["state"], rows(kiosk)[PRODUCTS]["unique"]) == ("missing", True)
    made = kiosk("indexes", "create", PRODUCTS, "--reason", "CASE-3")
    assert made.code == 0, made.err
    assert rows(kiosk)[PRODUCTS]["state"] == "present"
    with pytest.raises(IntegrityError):
        execute(url, AGREE)


def test_where_products_agree_nothing_is_made_or_left_and_a_query_finds_them(kiosk: Tend) -> None:
    url = os.environ["TEND_SQL_URL"]
    execute(url, AGREE)
    failed = kiosk("indexes", "create", PRODUCTS, "--reason", "CASE-3")
    assert failed.code == 1
    said = " ".join(failed.err.split())
    assert "has records that agree in store_id and external_id" in said
    find = f"SELECT {said.partition('SELECT ')[2].partition(';')[0]}"
    assert asked(url, find) == [(1, "x", 2)]
    assert rows(kiosk)[PRODUCTS]["state"] == "missing"


def test_an_index_of_two_databases_is_asked_for_by_its_whole_name(
    tend: Tend, sqlite_shop_url: str
) -> None:
    execute(sqlite_shop_url, "CREATE TABLE salesData (id int PRIMARY KEY, createdAt timestamp)")
    tend.setting("TEND_SQL_URL", sqlite_shop_url)
    tend.policy(
        "old-receipts",
        """
job: retention_purge
description: Old receipts go.
options:
  target: sql
  collection: salesData
  select: {older_than: {field: createdAt, age: 30d}}
guards: {max_records: 1, max_percent: 1}
undo: 7d
""",
    )
    asked = tend("indexes", "create", "salesData.createdAt", "--reason", "x")
    assert asked.code == 2
    assert "say mongo/salesData.createdAt or sql/salesData.createdAt." in asked.err
    made = tend("indexes", "create", "sql/salesData.createdAt", "--reason", "x")
    assert made.code == 0
    assert rows(tend)["sql/salesData.createdAt"]["state"] == "present"
