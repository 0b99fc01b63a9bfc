"""A PostgreSQL made ill on purpose, looked at by a user who may only look."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection, create_engine, make_url, text
from sqlalchemy.exc import OperationalError

from policies.probes import Probe
from tests.faults.processes import eventually
from tests.worker.probes.watch import Watch, probe
from worker.tables import ProbeState
from worker.targets.sql import SqlTarget

OTHERS = {"connections_percent": 100, "query": "1h", "transaction": "1h", "lock": "1h"}


def asking(**options: Any) -> Probe:
    return probe("sql", {**OTHERS, **options}, every="5m", within="2m")


@pytest.fixture
def owner(postgresql_shop_url: str) -> Iterator[Any]:
    engine = create_engine(postgresql_shop_url)
    with engine.begin() as connection:
        connection.execute(text("CREATE TABLE products (id int primary key, stock int)"))
        connection.execute(text("INSERT INTO products VALUES (1, 5), (2, 7)"))
    yield engine
    engine.dispose()


@pytest.fixture
def shop(watch: Watch, owner: Any) -> Iterator[Watch]:
    """Through a user with the role that `tend doctor --grants` gives to the one who reads."""
    url = make_url(owner.url)
    name = f"monitor_{url.database}"
    with owner.begin() as connection:
        connection.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD 'look'"))
        connection.execute(text(f"GRANT pg_monitor TO {name}"))
    looks = url.set(username=name, password="look").render_as_string(hide_password=False)  # noqa: S106 - it lives as long as the test
    with closing(SqlTarget(looks)) as target:
        yield replace(watch, site=replace(watch.site, targets={"sql": target}))
    with owner.begin() as connection:
        connection.execute(text(f"DROP ROLE {name}"))


@contextmanager
def holding(owner: Any) -> Iterator[Connection]:
    """A transaction that locks a row and then does nothing."""
    with owner.connect() as connection:
        connection.execute(text("UPDATE products SET stock = 0 WHERE id = 1"))
        yield connection
        connection.rollback()


@contextmanager
def waiting(owner: Any) -> Iterator[None]:
    """Somebody else who wants that row, until it is free."""

    def want() -> None:
        with owner.begin() as connection:
            connection.execute(text("UPDATE products SET stock = 1 WHERE id = 1"))

    thread = threading.Thread(target=want)
    thread.start()
    yield
    thread.join(60)
    assert not thread.is_alive()


def test_a_long_transaction_that_holds_a_lock_is_told_once_and_cleared_once(
    shop: Watch, owner: Any
) -> None:
    wanted = asking(lock="1s", transaction="1s", query="1s")
    with waiting_for_the_holder(owner) as holder:
        eventually(lambda: shop.checks_that_are_ill(wanted) == {"lock_wait"})
        readings = shop.look(wanted, 3)
        (seen,) = [one for one in readings if one.ill]
        assert f"for pid {holder}" in seen.says
        assert shop.alerts == [("probe/under-test/lock_wait/postgresql", True)]
    shop.look(wanted, 3)
    assert shop.alerts == [("probe/under-test/lock_wait/postgresql", False)]


@contextmanager
def waiting_for_the_holder(owner: Any) -> Iterator[int]:
    with owner.connect() as connection:
        connection.execute(text("UPDATE products SET stock = 0 WHERE id = 1"))
        holder = connection.execute(text("SELECT pg_backend_pid()")).scalar_one()
        with waiting(owner):
            yield holder
            connection.rollback()


def test_a_transaction_that_forgot_to_commit_is_told(shop: Watch, owner: Any) -> None:
    wanted = asking(transaction="1s")
    with holding(owner):
        eventually(lambda: shop.checks_that_are_ill(wanted) == {"long_transaction"})
    assert shop.checks_that_are_ill(wanted) == set()


def test_a_query_that_runs_for_long_is_told_without_its_text(shop: Watch, owner: Any) -> None:
    wanted = asking(query="1s")

    def ask() -> None:
        with suppress(OperationalError), owner.connect() as connection:
            connection.execute(text("SELECT pg_sleep(600), 'anna@example.com'"))

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        eventually(lambda: shop.checks_that_are_ill(wanted) == {"long_query"})
        (seen,) = [one for one in shop.look(wanted) if one.ill]
        assert "anna" not in seen.says
    finally:
        with owner.begin() as connection:
            connection.execute(
                text(
                    "SELECT pg_cancel_backend(pid) FROM pg_stat_activity WHERE query LIKE "
                    "'%pg_sleep(600)%' AND pid <> pg_backend_pid()"
                )
            )
        thread.join(60)
    assert not thread.is_alive()


def test_dead_rows_are_told_by_the_name_of_their_table(shop: Watch, owner: Any) -> None:
    with owner.begin() as connection:
        connection.execute(text("ALTER TABLE products SET (autovacuum_enabled = false)"))
    with owner.begin() as connection:
        connection.execute(text("INSERT INTO products SELECT g, 1 FROM generate_series(3, 900) g"))
    with owner.begin() as connection:
        connection.execute(text("DELETE FROM products"))
    owner.dispose()  # a session tells its counts at once when it ends, else seconds later
    wanted = asking(dead_rows=500)
    eventually(lambda: shop.checks_that_are_ill(wanted) == {"dead_rows"})
    (seen,) = [one for one in shop.look(wanted) if one.ill]
    assert seen.subject == "public.products"


def test_connections_are_counted(shop: Watch) -> None:
    (seen,) = [one for one in shop.look(asking()) if one.check == "connections"]
    assert seen.value is not None
    assert 0 < seen.value <= 100


def test_sqlite_says_once_what_it_has_not(watch: Watch, sqlite_shop_url: str) -> None:
    with closing(SqlTarget(sqlite_shop_url)) as target:
        plain = replace(watch, site=replace(watch.site, targets={"sql": target}))
        assert plain.look(asking(), 3) == []
    with watch.site.database.transaction() as session:
        (remark,) = session.get_one(ProbeState, ("under-test", "")).remarks
    assert "SQLite" in remark
    assert plain.alerts == []
