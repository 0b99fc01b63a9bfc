"""`tend scheduler` and `tend worker` as an installation runs them, stopped in every rude way."""

import pytest

from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import eventually, tend
from tests.worker.scenario import Scenario
from worker.audit.verify import verify

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
RECORDS = 100


def assert_exact(scenario: Scenario, run_id: int) -> None:
    assert sales.removed(scenario, RECORDS) == set(range(RECORDS))
    assert_nothing_lost_or_done_twice(scenario, run_id, set(range(RECORDS)))
    assert verify(scenario.engine.database).findings == ()


def test_a_worker_asked_to_stop_gives_its_chunks_back_and_another_one_finishes(
    scenario: Scenario, environment: dict[str, str]
) -> None:
    sales.load(scenario, RECORDS)
    run_id = sales.request(scenario, sales.slow())
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
