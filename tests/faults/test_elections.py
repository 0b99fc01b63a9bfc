"""A replica set of three whose primary steps down, or whose others do not confirm a write."""

import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database as MongoDatabase
from pymongo.errors import AutoReconnect

from demo.servers import Mongo, mongod
from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import PATIENCE, eventually
from tests.faults.replicas import Process, electable
from tests.mongo_databases import Indexes, make_indexes
from tests.worker.scenario import Scenario
from worker.audit.verify import verify
from worker.targets import mongo_fence

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
RECORDS = 30
Trio = tuple[Mongo, tuple[Process, Process]]


@pytest.fixture
def trio(tmp_path: Path) -> Iterator[Trio]:
    with mongod(tmp_path) as first, electable(first, tmp_path) as others:
        yield first, others
        first.process.kill()  # asked politely, it waits for others to follow


@pytest.fixture
def mongo_url(trio: Trio) -> str:
    return trio[0].url("shop")


@pytest.fixture
def mongo_read_url(mongo_url: str) -> str:
    return mongo_url


@pytest.fixture
def mongo_database(
    mongo_url: str, mongo_indexes: Indexes
) -> Iterator[MongoDatabase[dict[str, Any]]]:
    with MongoClient[dict[str, Any]](mongo_url, tz_aware=True) as client:
        database = client.get_default_database()
        make_indexes(database, mongo_indexes)
        yield database


def assert_exact_after(scenario: Scenario, fault: Callable[[int], None]) -> None:
    """In the middle of a run that a worker is at."""
    sales.load(scenario, RECORDS)
    run_id = sales.planned(scenario, sales.slow())
    with ThreadPoolExecutor(1) as worker:
        ending = worker.submit(sales.worked_off, scenario, run_id)
        eventually(lambda: sales.is_in_work(scenario, run_id))
        fault(run_id)
        assert ending.result(2 * PATIENCE).state == "succeeded"
    assert sales.removed(scenario, RECORDS) == set(range(RECORDS))
    assert_nothing_lost_or_done_twice(scenario, run_id, set(range(RECORDS)))
    assert verify(scenario.engine.database).findings == []


def test_a_run_outlives_a_primary_that_steps_down(scenario: Scenario) -> None:
    client = scenario.shop.client
    former = eventually(lambda: client.primary)

    def step_down(_: int) -> None:
        with suppress(AutoReconnect):
            client.admin.command("replSetStepDown", 60)

    assert_exact_after(scenario, step_down)
    assert eventually(lambda: client.primary) != former


def test_a_write_that_no_other_member_confirms_in_time_is_not_counted_before_it_is_certain(
    scenario: Scenario, trio: Trio, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changed on the primary alone, it could still be rolled back."""
    monkeypatch.setattr(mongo_fence, "COMMIT_SECONDS", 1)
    monkeypatch.setattr(mongo_fence, "BATCH_SECONDS", 2)

    def hang(run_id: int) -> None:
        for member in trio[1]:
            member.send_signal(signal.SIGSTOP)
        counted = sum(chunk.changed for chunk in scenario.chunks(run_id))
        eventually(lambda: any(chunk.error for chunk in scenario.chunks(run_id)))
        assert sum(chunk.changed for chunk in scenario.chunks(run_id)) - counted <= 5
        for member in trio[1]:
            member.send_signal(signal.SIGCONT)

    assert_exact_after(scenario, hang)
