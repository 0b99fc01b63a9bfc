"""Sessions, locks and time: who is stopped, who waits, and for how long."""

import threading
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from sqlalchemy import make_url, text
from structlog.testing import capture_logs

from jobs.base import Outcomes
from tests.worker.scenario import NOW
from tests.worker.targets.shops import STOCK, Hand, Site, deletes, left, words, work
from worker.archive import ArchiveStore
from worker.errors import (
    DeadlineExceeded,
    FenceLost,
    TargetConflict,
    TargetUnreachable,
)
from worker.targets import sql, sql_fence, sql_fences, sql_server
from worker.targets.sql import SqlTarget

NEGATIVE = words(less_than={"field": "stock", "value": 0})


def test_an_attempts_session_bears_its_name_while_it_writes(postgres_stocked: Site) -> None:
    hand = postgres_stocked.of("products")
    name = sql_fences.session_name("run/apply/0", 1)
    query = f"SELECT count(*) FROM pg_stat_activity WHERE application_name = '{name}'"  # noqa: S608 - our own
    seen: list[Any] = []

    def look(images: Any) -> Any:
        seen.extend(postgres_stocked.rows(query))
        return hand.archive(images)

    hand.change([1], NEGATIVE, deletes, archive=look)
    assert seen == [(1,)]
    assert postgres_stocked.rows(query) == [(0,)]


def test_a_late_attempt_neither_ends_its_successor_nor_waits_for_it(
    postgres_stocked: Site,
) -> None:
    hand = postgres_stocked.of("products")

    def late(images: Any) -> Any:
        with hand.fence() as first, pytest.raises(FenceLost):
            first.take(1)
        return hand.archive(images)

    with hand.fence(archive=late) as second:
        second.take(2)
        done = second.batch(0, (0, 2), work([1, 2], NEGATIVE, deletes))
    assert done.outcomes == Outcomes(changed=2)


def test_a_session_that_may_not_be_ended_is_told_of_once(
    login: str, postgres_stocked: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its locks end with its time, and until then the chunk is given back."""
    user = make_url(login).username
    postgres_stocked.run(
        "REVOKE EXECUTE ON FUNCTION pg_terminate_backend(int, bigint) FROM PUBLIC",
        f"GRANT CREATE ON SCHEMA public TO {user}",
        f"GRANT ALL ON products TO {user}",
    )
    monkeypatch.setattr(sql_server, "LOCK_SECONDS", 0.2)
    target = SqlTarget(login)
    hand = Hand(target, postgres_stocked.hand.store)

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
    postgres_stocked: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_server, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(sql_fence, "CONFLICT_TRIES", 2)
    with postgres_stocked.engine.begin() as connection:
        connection.execute(text("UPDATE products SET stock = -5 WHERE id = 2"))
        with pytest.raises(TargetConflict, match="changed in the same moment"):
            postgres_stocked.of("products").change([1, 2], NEGATIVE, deletes)
    assert left(postgres_stocked) == [1, 2]


def test_a_migration_that_holds_the_table_is_a_conflict(
    postgres_stocked: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_server, "LOCK_SECONDS", 0.1)
    monkeypatch.setattr(sql_fence, "CONFLICT_TRIES", 2)
    with postgres_stocked.engine.begin() as connection:
        connection.execute(text("ALTER TABLE products ADD COLUMN name text"))
        with pytest.raises(TargetConflict):
            postgres_stocked.of("products").change([1, 2], NEGATIVE, deletes)
    assert left(postgres_stocked) == [1, 2]


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
    stocked: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql_fence, "BATCH_SECONDS", 0.5)
    stocked.run(*SLOW[stocked.dialect])
    with pytest.raises(DeadlineExceeded, match="took longer than allowed"):
        stocked.of("products").change([1], NEGATIVE, deletes)
    assert left(stocked) == [1, 2]


def test_a_count_that_takes_too_long_ends_in_time(
    stocked: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sql, "COUNT_SECONDS", 0)
    with pytest.raises(DeadlineExceeded):
        stocked.target.count("products", NEGATIVE, NOW)
    assert left(stocked) == [1, 2]


def test_an_archive_that_takes_too_long_lets_nothing_be_changed(
    stocked: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    later = SimpleNamespace(monotonic=lambda: time.monotonic() + sql_fence.BATCH_SECONDS)

    def slow(images: Any) -> Any:
        monkeypatch.setattr(sql_server, "time", later)
        return stocked.hand.archive(images)

    with pytest.raises(DeadlineExceeded):
        stocked.of("products").change([1], NEGATIVE, deletes, archive=slow)
    assert left(stocked) == [1, 2]


def test_a_commit_whose_answer_was_lost_is_left_to_the_fence(postgres_stocked: Site) -> None:
    postgres_stocked.run(
        """CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); RETURN OLD; END'""",
        """CREATE CONSTRAINT TRIGGER cut AFTER DELETE ON products
            DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION cut()""",
    )
    hand = postgres_stocked.of("products")
    with pytest.raises(TargetUnreachable, match="did not say whether it committed; the fence"):
        hand.change([1, 2], NEGATIVE, deletes)
    postgres_stocked.run("DROP TRIGGER cut ON products")
    with hand.fence() as fence:
        assert fence.take(2) == ()
        assert fence.batch(0, (0, 2), work([1, 2], NEGATIVE, deletes)).outcomes.changed == 2


def test_two_who_come_first_make_one_table_of_fences(stocked: Site) -> None:
    ready = threading.Barrier(4)
    taken: list[Any] = []

    def take(number: int) -> None:
        with stocked.of("products").fence(f"run/apply/{number}") as fence:
            ready.wait()
            taken.append(fence.take(1))

    threads = [threading.Thread(target=take, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert taken == [()] * 4
    assert stocked.rows("SELECT count(*) FROM tend_fences") == [(4,)]


def test_in_sqlite_nobody_writes_beside_an_open_batch(
    tmp_path: Path, sqlite_site: Site, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Whoever would overtake it waits, and is told to try again."""
    monkeypatch.setattr(sql_server, "LOCK_SECONDS", 0.1)
    sqlite_site.run(*STOCK)
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
