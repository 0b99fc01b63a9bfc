"""The brake, pulled by one process while others work: nothing moves until it is released."""

import sys
import time

import pytest
from sqlalchemy import make_url

from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import eventually, tend
from tests.faults.proxy import proxy
from tests.worker.scenario import TESTER, Scenario
from worker import braking
from worker.audit.verify import verify

RECORDS = 60
BATCH, WRITERS = 5, 2
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def is_claimed(scenario: Scenario, run_id: int) -> bool:
    return "claimed" in {chunk.state for chunk in scenario.chunks(run_id)}


@on_sqlite
@pytest.mark.parametrize("pause", ["1s", "300s"])
def test_workers_stop_at_the_next_batch_and_go_on_at_once_however_long_they_pause(
    scenario: Scenario, environment: dict[str, str], pause: str
) -> None:
    """Patience is shorter than the long pause: nobody waits that out."""
    sales.load(scenario, RECORDS)
    run_id = sales.request(scenario, sales.slow(batch={"records": BATCH, "pause": pause}))
    with tend(environment, "scheduler"), tend(environment, "worker", "--processes", "2"):
        eventually(lambda: sales.is_in_work(scenario, run_id, chunks=2))
        braking.pull(scenario.engine.database, None, TESTER, everything=False)
        at_once = sales.removed(scenario, RECORDS)
        eventually(lambda: not is_claimed(scenario, run_id))
        stopped = time.monotonic()
        gone = sales.removed(scenario, RECORDS)
        assert 0 < len(gone) < RECORDS
        assert len(gone - at_once) <= BATCH * WRITERS
        assert {chunk.state for chunk in scenario.chunks(run_id)} <= {"pending", "done"}
        assert sales.waits_for(scenario, run_id).startswith("the brake for all policies")
        eventually(lambda: time.monotonic() > stopped + 3)
        assert sales.removed(scenario, RECORDS) == gone
        braking.release(scenario.engine.database, None, TESTER, everything=False)
        eventually(lambda: sales.removed(scenario, RECORDS) != gone)
        if pause == "1s":
            assert sales.finished(scenario, run_id).state == "succeeded"
            everything = set(range(RECORDS))
            assert sales.removed(scenario, RECORDS) == everything
            assert_nothing_lost_or_done_twice(scenario, run_id, everything)
    assert verify(scenario.engine.database).findings == []


@pytest.mark.parametrize("database_url", ["postgresql"], indirect=True)
def test_everything_stops_while_the_control_database_cannot_be_reached(
    scenario: Scenario, environment: dict[str, str], database_url: str
) -> None:
    sales.load(scenario, RECORDS)
    run_id = sales.request(scenario, sales.slow(chunk=60))
    url = make_url(database_url)
    assert url.port is not None
    with proxy(url.port) as between:
        through = url.set(port=between.port).render_as_string(hide_password=False)
        with (
            tend(environment, "scheduler"),
            tend({**environment, "TEND_DATABASE_URL": through}, "worker", "--processes", "1"),
        ):
            eventually(lambda: sales.is_in_work(scenario, run_id))
            cut = time.monotonic()
            between.lose("request", b"", times=sys.maxsize)
            eventually(lambda: time.monotonic() > cut + 2)
            gone = sales.removed(scenario, RECORDS)
            eventually(lambda: time.monotonic() > cut + 5)
            assert sales.removed(scenario, RECORDS) == gone
            assert 0 < len(gone) < RECORDS
            between.loss = None
            sales.time_passes(scenario)
            assert sales.finished(scenario, run_id).state == "succeeded"
    everything = set(range(RECORDS))
    assert_nothing_lost_or_done_twice(scenario, run_id, everything)
