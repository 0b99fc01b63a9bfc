"""`tend scheduler` and `tend worker` as an installation runs them, ended in every rude way."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import psutil
import pytest
from sqlalchemy import func, select

from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import PATIENCE, Tend, eventually, tend
from tests.worker.scenario import Scenario
from worker.audit.verify import verify
from worker.tables import Process

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
RECORDS = 30


@pytest.fixture
def run_id(scenario: Scenario) -> int:
    sales.load(scenario, RECORDS)
    return sales.request(scenario, sales.slow())


def assert_exact(scenario: Scenario, run_id: int) -> None:
    assert sales.removed(scenario, RECORDS) == set(range(RECORDS))
    assert_nothing_lost_or_done_twice(scenario, run_id, set(range(RECORDS)))
    assert verify(scenario.engine.database).findings == []


@on_sqlite
def test_a_worker_asked_to_stop_gives_its_chunks_back_and_another_one_finishes(
    scenario: Scenario, environment: dict[str, str], run_id: int
) -> None:
    with tend(environment, "scheduler"):
        with tend(environment, "worker", "--processes", "2", "--threads", "2") as worker:
            eventually(lambda: sales.is_in_work(scenario, run_id, chunks=2))
            assert worker.stop() == 0
            assert worker.family == []
        chunks = scenario.chunks(run_id)
        assert {chunk.state for chunk in chunks} <= {"pending", "done"}
        assert "pending" in {chunk.state for chunk in chunks}
        assert [(chunk.retries, chunk.rescues) for chunk in chunks] == [(0, 0)] * len(chunks)
        with tend(environment, "worker", "--processes", "1"):
            assert sales.finished(scenario, run_id).state == "succeeded"
    assert_exact(scenario, run_id)


@on_sqlite
def test_after_a_worker_process_was_killed_all_of_them_end_and_new_ones_finish(
    scenario: Scenario, environment: dict[str, str], run_id: int
) -> None:
    with tend(environment, "scheduler"):
        with tend(environment, "worker", "--processes", "2", "--threads", "2") as worker:
            eventually(lambda: sales.is_in_work(scenario, run_id, chunks=2))
            worker.workers[0].kill()
            assert worker.process.wait(PATIENCE) != 0
            assert worker.family == []
        with tend(environment, "worker", "--processes", "1"):
            sales.time_passes(scenario)
            assert sales.finished(scenario, run_id).state == "succeeded"
    assert_exact(scenario, run_id)


ENDS: dict[str, Callable[[Tend], None]] = {
    "a worker process is asked to stop": lambda tend: tend.workers[0].terminate(),
    "dramatiq's main process is killed": lambda tend: tend.main.kill(),
    "tend worker itself is killed": lambda tend: psutil.Process(tend.process.pid).kill(),
}


@on_sqlite
@pytest.mark.parametrize("end", ENDS)
def test_when_one_of_its_processes_ends_unasked_all_do_and_a_supervisor_sees_an_error(
    scenario: Scenario, environment: dict[str, str], end: str
) -> None:
    with tend(environment, "worker", "--processes", "2", "--threads", "1") as worker:
        eventually(lambda: alive(scenario) == 2)
        ENDS[end](worker)
        assert worker.process.wait(PATIENCE) != 0
        eventually(lambda: worker.family == [])


def alive(scenario: Scenario) -> int:
    with scenario.engine.database.transaction() as session:
        return session.scalar(select(func.count()).where(Process.kind == "worker")) or 0


@on_sqlite
@pytest.mark.parametrize(("given", "wanted"), [({}, "2"), ({"MALLOC_ARENA_MAX": "3"}, "3")])
def test_threads_of_a_worker_share_what_they_free_as_the_environment_says(
    scenario: Scenario,
    environment: dict[str, str],
    given: dict[str, str],
    wanted: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("MALLOC_ARENA_MAX", raising=False)
    with tend(environment | given, "worker", "--processes", "1") as worker:
        eventually(lambda: alive(scenario) == 1)
        assert worker.main.environ()["MALLOC_ARENA_MAX"] == wanted


@on_sqlite
def test_a_worker_process_that_cannot_open_its_database_ends_instead_of_idling(
    environment: dict[str, str], tmp_path: Path
) -> None:
    """The command looked before it started its processes; what it saw can be gone since."""
    gone = {**environment, "TEND_DATABASE_URL": f"sqlite:///{tmp_path}/gone.sqlite"}
    ended = subprocess.run(
        [sys.executable, "-c", "from worker.supervise import supervise; exit(supervise(1, 1))"],
        env={**os.environ, **gone},
        timeout=PATIENCE,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert "worker cannot begin" in ended.stderr
    assert "is empty; run `tend migrate`" in ended.stderr
