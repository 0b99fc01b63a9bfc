"""`tend scheduler` and `tend worker` as an installation runs them, ended in every rude way."""

from collections.abc import Callable

import psutil
import pytest

from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import Tend, eventually, tend
from tests.worker.scenario import Scenario
from worker.audit.verify import verify

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
RECORDS = 60
VICTIMS: dict[str, Callable[[Tend], psutil.Process]] = {
    "a worker process": lambda tend: tend.workers[0],
    "dramatiq's main process": lambda tend: tend.main,
    "tend worker itself": lambda tend: psutil.Process(tend.process.pid),
}


@pytest.fixture
def run_id(scenario: Scenario) -> int:
    sales.load(scenario, RECORDS)
    return sales.request(scenario, sales.slow())


def assert_exact(scenario: Scenario, run_id: int) -> None:
    assert sales.removed(scenario, RECORDS) == set(range(RECORDS))
    assert_nothing_lost_or_done_twice(scenario, run_id, set(range(RECORDS)))
    assert verify(scenario.engine.database).findings == []


def test_a_worker_asked_to_stop_gives_its_chunks_back_and_another_one_finishes(
    scenario: Scenario, environment: dict[str, str], run_id: int
) -> None:
    with tend(environment, "scheduler"):
        with tend(environment, "worker", "--processes", "2", "--threads", "2") as worker:
            eventually(lambda: sales.is_in_work(scenario, run_id, chunks=2))
            assert worker.stop(seconds=10) == 0
            assert worker.family == []
        chunks = scenario.chunks(run_id)
        assert {chunk.state for chunk in chunks} <= {"pending", "done"}
        assert "pending" in {chunk.state for chunk in chunks}
        assert [(chunk.retries, chunk.rescues) for chunk in chunks] == [(0, 0)] * len(chunks)
        with tend(environment, "worker"):
            assert sales.finished(scenario, run_id).state == "succeeded"
    assert_exact(scenario, run_id)


@on_sqlite
@pytest.mark.parametrize("victim", VICTIMS)
def test_after_a_kill_the_rest_ends_too_and_a_new_worker_finishes(
    scenario: Scenario, environment: dict[str, str], run_id: int, victim: str
) -> None:
    """A supervisor sees `tend worker` end with an error, and starts it anew."""
    with tend(environment, "scheduler"):
        with tend(environment, "worker", "--processes", "2", "--threads", "2") as worker:
            eventually(lambda: sales.is_in_work(scenario, run_id, chunks=2))
            VICTIMS[victim](worker).kill()
            assert worker.process.wait(20) != 0
            eventually(lambda: worker.family == [])
        with tend(environment, "worker"):
            scenario.expire_leases()
            assert sales.finished(scenario, run_id).state == "succeeded"
    assert_exact(scenario, run_id)
