"""A worker that sleeps through its lease and wakes later: the fence lets it change nothing."""

import signal
import subprocess
from collections.abc import Iterator

import psutil
import pytest

from tests.faults import sales, victim
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import PATIENCE, eventually, tend
from tests.worker.scenario import TESTER, Scenario, purge
from worker import operations
from worker.audit.verify import verify

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
on_postgres = pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
RECORDS = 30
STEPS = [
    "before the fence",
    "after the change",
    "after the target's commit",
    "before the chunk is finished",
]


@pytest.fixture
def run_id(scenario: Scenario) -> int:
    sales.load(scenario, RECORDS)
    plan = scenario.plan(purge(batch={"records": 5}, chunk=15))
    scenario.apply_later(plan)
    return plan.id


@pytest.fixture(params=STEPS)
def sleeper(
    request: pytest.FixtureRequest, environment: dict[str, str], run_id: int
) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that sleeps in the middle of its second batch, or at the end of its first chunk."""
    count = 1 if "chunk" in request.param else 2
    process = victim.start(environment, run_id, request.param, count, signal.SIGSTOP)
    eventually(lambda: psutil.Process(process.pid).status() == psutil.STATUS_STOPPED)
    yield process
    process.kill()
    process.wait()


@on_sqlite
def test_a_worker_that_wakes_when_its_chunk_was_finished_changes_nothing(
    scenario: Scenario, run_id: int, sleeper: subprocess.Popen[bytes]
) -> None:
    scenario.expire_leases()
    assert scenario.work_off(run_id).state == "succeeded"
    scenario.shop.salesData.insert_one({"_id": 0, "createdAt": scenario.clock.moment})
    sleeper.send_signal(signal.SIGCONT)
    assert sleeper.wait(PATIENCE) == 0
    assert scenario.shop.salesData.delete_one({"_id": 0}).deleted_count == 1
    assert_nothing_lost_or_done_twice(scenario, run_id, sales.removed(scenario, RECORDS))
    assert verify(scenario.engine.database).findings == []


@on_sqlite
def test_a_worker_that_wakes_when_its_run_was_undone_changes_nothing(
    scenario: Scenario, run_id: int, sleeper: subprocess.Popen[bytes]
) -> None:
    scenario.expire_leases()
    scenario.undo(scenario.work_off(run_id))
    sleeper.send_signal(signal.SIGCONT)
    assert sleeper.wait(PATIENCE) == 0
    assert scenario.run(run_id).state == "undone"
    assert sales.removed(scenario, RECORDS) == set()
    assert verify(scenario.engine.database).findings == []


@on_postgres
def test_a_sleeping_worker_process_loses_its_chunk_to_another_and_respects_the_undo(
    scenario: Scenario, environment: dict[str, str]
) -> None:
    sales.load(scenario, RECORDS)
    run_id = sales.request(scenario, sales.slow())
    with (
        tend(environment, "scheduler"),
        tend(environment, "worker", "--processes", "1", "--threads", "1") as sleeper,
    ):
        eventually(lambda: sales.is_in_work(scenario, run_id))
        (asleep,) = sleeper.workers
        asleep.suspend()
        with tend(environment, "worker", "--processes", "1"):
            sales.time_passes(scenario)
            assert sales.finished(scenario, run_id).state == "succeeded"
            everything = sales.removed(scenario, RECORDS)
            assert_nothing_lost_or_done_twice(scenario, run_id, everything)
            operations.undo(scenario.engine.database, run_id, TESTER, inline=False)
            assert sales.finished(scenario, run_id).state == "undone"
        asleep.resume()
        assert sleeper.stop() == 0
    assert everything == set(range(RECORDS))
    assert sales.removed(scenario, RECORDS) == set()
    assert verify(scenario.engine.database).findings == []
