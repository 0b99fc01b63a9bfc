"""Servers as they are: away, slow, locked, cut off, and users who may not."""

import threading
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import make_url, text
from structlog.testing import capture_logs

from jobs.base import Outcomes
from tests.worker.scenario import NOW
from tests.worker.targets.shops import Hand, Site, deletes, words, work
from worker.archive import ArchiveStore
from worker.errors import (
    DeadlineExceeded,
    FenceLost,
    TargetConflict,
    TargetError,
    TargetRefused,
    TargetUnreachable,
)
from worker.targets import sql, sql_fence, sql_fences, sql_server
from worker.targets.sql import SqlTarget
from worker.targets.sql_server import SqlServer

NEGATIVE = words(less_than={"field": "stock", "value": 0})


@pytest.fixture
def products(site: Site) -> Site:
    _products(site)
    return site


@pytest.fixture
def postgres_products(postgres_site: Site) -> Site:
    _products(postgres_site)
    return postgres_site


def _products(site: Site) -> None:
    site.run(
        "CREATE TABLE products (id int PRIMARY KEY, stock int)",
        "INSERT INTO products VALUES (1, -1), (2, -2)",
        "CREATE INDEX stock ON products (stock)",
    )


def left(site: Site) -> list[int]:
    return [key for (key,) in site.rows("SELECT id FROM products ORDER BY id")]


@pytest.fixture
def login(postgres_products: Site) -> Iterator[str]:
    """The URL of a user who may read the shop and nothing else."""
    user = f"user_{uuid4().hex[:12]}"
    postgres_products.run(
        f"CREATE ROLE {user} LOGIN PASSWORD 'right'", f"GRANT SELECT ON products TO {user}"
    )
    url = make_url(postgres_products.url).set(username=user, password="right")  # noqa: S106 - a test's
    yield url.render_as_string(hide_password=False)
    postgres_products.run(f"DROP OWNED BY {user}", f"DROP ROLE {user}")


# Connecting.


def _refusal(url: str, error: type[TargetError]) -> str:
    """What the target says, which never holds what is secret in its URL."""
    with pytest.raises(error) as refused, closing(SqlTarget(url)) as target:
        target.ping()
    assert "wrong" not in str(refused.value)
    return str(refused.value)


def test_a_server_that_is_not_there_is_unreachable() -> None:
    says = _refusal("postgresql+psycopg://u:wrong@127.0.0.1:1/shop", TargetUnreachable)
    assert says == "PostgreSQL database shop does not answer; check the server and TEND_SQL_URL."


def test_a_wrong_password_is_refused(login: str) -> None:
    says = _refusal(login.replace("right", "wrong"), TargetRefused)
    assert "refused the user or password in TEND_SQL_URL" in says


def test_a_database_that_does_not_exist_is_named(postgres_url: str) -> None:
    assert "database nowhere does not exist" in _refusal(
        postgres_url.rpartition("/")[0] + "/nowhere", TargetError
    )


def test_a_file_that_does_not_exist_is_not_made(tmp_path: Path) -> None:
    says = _refusal(f"sqlite:///{tmp_path}/typo.sqlite", TargetUnreachable)
    assert says.startswith("SQLite database typo.sqlite cannot be opened")
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_no_database_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("wrong" * 1000)
    assert "is no SQLite database" in _refusal(f"sqlite:///{tmp_path}/notes.txt", TargetError)


@pytest.mark.parametrize("url", ["mysql://u:wrong@h/shop", "sqlite://", "wrong", "sqlite:///"])
def test_another_kind_of_url_is_refused(url: str) -> None:
    assert "TEND_SQL_URL" in _refusal(url, TargetError)


def test_a_server_that_answers_says_nothing(products: Site) -> None:
    products.target.ping()
    assert left(products) == [1, 2]


# Who may what.


def test_plans_are_read_by_a_user_who_cannot_write(login: str, postgres_products: Site) -> None:
    target = SqlTarget(postgres_products.url, login)
    hand = Hand(target, postgres_products.hand.store)
    assert hand.keys(NEGATIVE) == [1, 2]
    assert target.population("products") == 2
    assert hand.change([1], NEGATIVE, deletes).outcomes == Outcomes(changed=1)
    target.close()


def test_a_user_who_may_not_write_is_refused_with_a_sentence(
    login: str, postgres_products: Site
) -> None:
    target = SqlTarget(login)
    with pytest.raises(TargetRefused, match="table tend_fences does not allow this user"):
        Hand(target, postgres_products.hand.store).change([1], NEGATIVE, deletes)
    target.close()


@pytest.mark.parametrize("primary", [True, False])
def test_what_reads_for_a_plan_cannot_write(products: Site, primary: bool) -> None:
    server = SqlServer(products.url)
    with (
        pytest.raises(TargetRefused, match="is read-only"),
        server.reading("here", 5, primary=primary) as transaction,
    ):
        transaction.execute(text("DELETE FROM products"))
    server.close()
    assert left(products) == [1, 2]


# Sessions, locks and time.


def test_an_attempts_session_bears_its_name_while_it_writes(postgres_products: Site) -> None:
    hand = postgres_products.of("products")
    name = sql_fences.session_name("run/apply/0", 1)
    query = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'"  # noqa: S608 - our own
    seen: list[Any] = []

    def look(images: Any) -> Any:
        seen.extend(postgres_products.rows(query))
        return hand.archive(images)

    hand.change([1], NEGATIVE, deletes, archive=look)
    assert seen == [(1,)]
    assert postgres_products.rows(query) == [(0,)]


def test_a_late_attempt_neither_ends_its_successor_nor_waits_for_it(
    postgres_products: Site,
) -> None:
    hand = postgres_products.of("products")

    def late(images: Any) -> Any:
        with hand.fence() as first, pytest.raises(FenceLost):
            first.take(1)
        return hand.archive(images)

    with hand.fence(archive=late) as second:
        second.take(2)
        done = second.batch(0, (0, 2), work([1, 2], NEGATIVE, deletes))
    assert done.outcomes == Outcomes(changed=2)


def test_a_session_that_may_not_be_ended_is_told_of_once(
    login: str, postgres_products: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its locks end with its time, and until then the chunk is given back."""
    user = make_url(login).username
    postgres_products.run(
        "REVOKE EXECUTE ON FUNCTION pg_terminate_backend(int, bigint) FROM PUBLIC",
        f"GRANT CREATE ON SCHEMA public TO {user}",
        f"GRANT ALL ON products TO {user}",
    )
    monkeypatch.setattr(sql_server, "LOCK_SECONDS", 0.2)
    target = SqlTarget(login)
    hand = Hand(target, postgres_products.hand.store)

    def overtake(images: Any) -> Any:
        for _ in range(2):
            with hand.fence() as second, pytest.raises(TargetConflict):
                second.take(2)
        return hand.archive(images)

    with capture_logs() as logs:
        done = hand.change([1, 2], NEGATIVE, deletes, archive=overtake)
    target.close()
    assert done.outcomes == Outcomes(changed=2)
    assert [entry["log_level"] for entry in logs] == ["warning"]


def test_a_row_that_the_application_holds_is_a_conflict(
    postgres_products: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_server, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(sql_fence, "CONFLICT_TRIES", 2)
    with postgres_products.engine.begin() as connection:
        connection.execute(text("UPDATE products SET stock = -5 WHERE id = 2"))
        with pytest.raises(TargetConflict, match="changed in the same moment"):
            postgres_products.of("products").change([1, 2], NEGATIVE, deletes)
    assert left(postgres_products) == [1, 2]


def test_a_migration_that_holds_the_table_is_a_conflict(
    postgres_products: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_server, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(sql_fence, "CONFLICT_TRIES", 2)
    with postgres_products.engine.begin() as connection:
        connection.execute(text("ALTER TABLE products ADD COLUMN name text"))
        with pytest.raises(TargetConflict):
            postgres_products.of("products").change([1, 2], NEGATIVE, deletes)
    assert left(postgres_products) == [1, 2]


SLOW = {
    "postgresql": (
        """CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_sleep(60); RETURN OLD; END'""",
        "CREATE TRIGGER slow BEFORE DELETE ON products FOR EACH ROW EXECUTE FUNCTION slow()",
    ),
    "sqlite": (
        """CREATE TRIGGER slow BEFORE DELETE ON products BEGIN
            SELECT count(*) FROM sqlite_master a, (
                WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 900000000)
                SELECT i FROM n) b; END""",
    ),
}


def test_a_statement_that_takes_too_long_ends_in_time(
    products: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_fence, "BATCH_SECONDS", 0.5)
    products.run(*SLOW[products.dialect])
    with pytest.raises(DeadlineExceeded, match="took longer than allowed"):
        products.of("products").change([1], NEGATIVE, deletes)
    assert left(products) == [1, 2]


def test_a_count_that_takes_too_long_ends_in_time(
    products: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "COUNT_SECONDS", 0)
    with pytest.raises(DeadlineExceeded):
        products.target.count("products", NEGATIVE, NOW)
    assert left(products) == [1, 2]


def test_an_archive_that_takes_too_long_lets_nothing_be_changed(
    products: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + sql_fence.BATCH_SECONDS)

    def slow(images: Any) -> Any:
        monkeypatch.setattr(sql_server, "time", later)
        return products.hand.archive(images)

    with pytest.raises(DeadlineExceeded):
        products.of("products").change([1], NEGATIVE, deletes, archive=slow)
    assert left(products) == [1, 2]


def test_a_commit_whose_answer_was_lost_is_left_to_the_fence(postgres_products: Site) -> None:
    postgres_products.run(
        """CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN OLD; END'""",
        """CREATE CONSTRAINT TRIGGER cut AFTER DELETE ON products
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION cut()""",
    )
    hand = postgres_products.of("products")
    with pytest.raises(TargetUnreachable, match="did not say whether it committed; the fence"):
        hand.change([1, 2], NEGATIVE, deletes)
    postgres_products.run("DROP TRIGGER cut ON products")
    with hand.fence() as fence:
        assert fence.take(2) == ()
        assert fence.batch(0, (0, 2), work([1, 2], NEGATIVE, deletes)).outcomes.changed == 2


def test_two_who_come_first_make_one_table_of_fences(products: Site) -> None:
    ready = threading.Barrier(4)
    taken: list[Any] = []

    def take(number: int) -> None:
        with products.of("products").fence(f"run/apply/{number}") as fence:
            ready.wait()
            taken.append(fence.take(1))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == [()] * 4
    assert products.rows("SELECT count(*) FROM tend_fences") == [(4,)]


def test_in_sqlite_nobody_writes_beside_an_open_batch(
    tmp_path: Path, sqlite_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever would overtake it waits, and is told to try again."""
    monkeypatch.setattr(sql_server, "LOCK_SECONDS", 0.1)
    _products(sqlite_site)
    target = SqlTarget(sqlite_site.url)
    hand = Hand(target, ArchiveStore(f"file://{tmp_path}/archive"))

    def overtake(images: Any) -> Any:
        with hand.fence() as second, pytest.raises(TargetConflict):
            second.take(2)
        return hand.archive(images)

    done = hand.change([1, 2], NEGATIVE, deletes, archive=overtake)
    assert done.outcomes == Outcomes(changed=2)
    assert target.close_fence("run/apply/0") == (done,)
    target.close()
