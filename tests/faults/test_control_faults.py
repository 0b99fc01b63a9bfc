"""The control database is locked or restarts: the run waits for it and loses nothing."""

import signal
import sqlite3
import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from demo.servers import Postgres, postgres
from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import eventually, tend
from tests.faults.servers import Machine, machine
from tests.worker.scenario import Scenario
from worker.audit.verify import verify
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
def postgres_url(own_postgres: Postgres, server: Machine) -> str:
    assert server.process is own_postgres.process
    return own_postgres.create_database("tend")


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
        assert ending.result(60).state == "succeeded"
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


def time_passed(scenario: Scenario) -> bool:
    """Once the database answers again; what it interrupted would wait for 15 s."""
    try:
        sales.time_passes(scenario)
    except DatabaseUnreachable:
        return False
    return True
