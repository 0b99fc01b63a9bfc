"""The control database is locked, full or restarts: the run waits for it and loses nothing."""

import os
import signal
import sqlite3
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import psycopg
import pytest

from demo.servers import Postgres, postgres
from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import PATIENCE, eventually, tend
from tests.faults.servers import Machine, machine
from tests.worker.scenario import Scenario
from worker import migrate
from worker.audit.verify import verify
from worker.database import Database
from worker.errors import DatabaseUnreachable

RECORDS = 30
LOCKED_SECONDS = 3


@pytest.fixture
def own_postgres() -> Iterator[Postgres]:
    """One that a test may stop, in a folder that its user can enter."""
    folder = tempfile.TemporaryDirectory(prefix="tend-tests-")
    with folder as path, postgres(Path(path)) as server:
        yield server


@pytest.fixture
def server(own_postgres: Postgres) -> Iterator[Machine]:
    with machine(own_postgres.process, signal.SIGINT) as found:
        yield found


@pytest.fixture
def migrated_postgres_url(own_postgres: Postgres, server: Machine) -> str:
    assert server.process is own_postgres.process
    url = own_postgres.create_database("tend")
    with closing(Database(url)) as database:
        migrate.upgrade(database)
    return url


def assert_exact(scenario: Scenario, run_id: int) -> None:
    assert sales.removed(scenario, RECORDS) == set(range(RECORDS))
    assert_nothing_lost_or_done_twice(scenario, run_id, set(range(RECORDS)))
    assert verify(scenario.engine.database).findings == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_run_waits_for_another_writer_that_locks_sqlite_for_seconds(
    scenario: Scenario, tmp_path: Path
) -> None:
    sales.load(scenario, RECORDS)
    run_id = sales.planned(scenario, sales.slow())
    other = sqlite3.connect(
        tmp_path / "control.sqlite", isolation_level=None, check_same_thread=False
    )
    with ThreadPoolExecutor(1) as worker:
        ending = worker.submit(sales.worked_off, scenario, run_id)
        eventually(lambda: sales.is_in_work(scenario, run_id))
        other.execute("BEGIN EXCLUSIVE")
        threading.Timer(LOCKED_SECONDS, other.rollback).start()
        assert ending.result(2 * PATIENCE).state == "succeeded"
    other.close()
    assert [(c.attempt, c.rescues) for c in scenario.chunks(run_id)] == [(1, 0), (1, 0)]
    assert_exact(scenario, run_id)


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_scheduler_and_worker_outlive_a_postgres_that_restarts(
    scenario: Scenario, environment: dict[str, str], server: Machine
) -> None:
    sales.load(scenario, RECORDS)
    run_id = sales.request(scenario, sales.slow())
    with (
        tend(environment, "scheduler") as scheduler,
        tend(environment, "worker", "--processes", "1") as worker,
    ):
        eventually(lambda: sales.is_in_work(scenario, run_id))
        server.stop(signal.SIGINT)
        server.start()
        eventually(lambda: time_passed(scenario))
        assert sales.finished(scenario, run_id).state == "succeeded"
        assert (scheduler.stop(), worker.stop()) == (0, 0)
    assert_exact(scenario, run_id)


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_scheduler_two_workers_and_people_share_one_sqlite_file(
    scenario: Scenario, environment: dict[str, str]
) -> None:
    sales.load(scenario, RECORDS)
    run_id = sales.request(scenario, sales.slow())
    commands = (
        ("status", "--json"),
        ("runs", "--json"),
        ("show", f"r-{run_id}", "--json"),
        ("audit", "verify", "--json"),
    )
    with tend(environment, "scheduler"), tend(environment, "worker", "--processes", "2") as worker:
        eventually(lambda: sales.is_in_work(scenario, run_id, chunks=2))
        asked = [typed(environment, *words) for words in commands]
        others = [sales.request(scenario, sales.slow(name=f"other-{n}")) for n in range(2)]
        assert [process.wait(PATIENCE) for process in asked] == [0] * len(asked)
        for each in (run_id, *others):
            assert sales.finished(scenario, each).state == "succeeded"
        assert worker.stop() == 0
    assert_exact(scenario, run_id)


def typed(environment: dict[str, str], *words: str) -> subprocess.Popen[bytes]:
    return subprocess.Popen(
        [sys.executable, "-m", "worker.cli", *words],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
    )


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_a_run_waits_for_a_postgres_that_takes_no_more_connections(
    scenario: Scenario, environment: dict[str, str], own_postgres: Postgres
) -> None:
    """Whoever has a connection loses it, and everybody else's program takes what is free."""
    sales.load(scenario, RECORDS)
    run_id = sales.request(scenario, sales.slow(writers=1))
    with tend(environment, "scheduler"), tend(environment, "worker", "--processes", "1") as worker:
        eventually(lambda: sales.is_in_work(scenario, run_id))
        with ExitStack() as taken:
            others = all_connections(own_postgres, taken)
            with pytest.raises(DatabaseUnreachable):
                scenario.run(run_id)
            assert len(others) > 50
        sales.time_passes(scenario)
        assert sales.finished(scenario, run_id).state == "succeeded"
        assert worker.stop() == 0
    assert_exact(scenario, run_id)


def all_connections(server: Postgres, taken: ExitStack) -> list[psycopg.Connection[Any]]:
    """Those in use are ended from the first of these, until nobody gets another one."""
    url = server.url.replace("+psycopg", "")
    others = [taken.enter_context(psycopg.connect(url, autocommit=True))]
    end = "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'tend'"

    def is_full() -> bool:
        others[0].execute(end)
        try:
            while True:
                others.append(taken.enter_context(psycopg.connect(url)))
        except psycopg.OperationalError:
            return others[0].execute(end).rowcount == 0

    eventually(is_full)
    return others


def time_passed(scenario: Scenario) -> bool:
    """Once the database answers again; what it interrupted would wait for 15 s."""
    try:
        sales.time_passes(scenario)
    except DatabaseUnreachable:
        return False
    return True
