"""The target's server ends in the middle of a run and comes back: nothing is lost or done twice."""

import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database as MongoDatabase

from demo.servers import Mongo, mongod
from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import PATIENCE, eventually
from tests.faults.servers import Machine, machine
from tests.mongo_databases import Indexes, make_indexes
from tests.worker.scenario import Scenario

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
RECORDS = 30


@pytest.fixture
def own_mongo(tmp_path: Path) -> Iterator[Mongo]:
    """One that a test may stop."""
    with mongod(tmp_path) as server:
        yield server


@pytest.fixture
def server(own_mongo: Mongo) -> Iterator[Machine]:
    with machine(own_mongo.process, signal.SIGTERM) as found:
        yield found


@pytest.fixture
def mongo_url(own_mongo: Mongo, server: Machine) -> str:
    """Of a server that ends after its clients: they take long to leave one that is gone."""
    assert server.process is own_mongo.process
    return own_mongo.url("shop")


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


@pytest.mark.parametrize("end", [signal.SIGTERM, signal.SIGKILL])
def test_a_run_outlives_a_target_that_is_stopped_or_killed_and_started_again(
    scenario: Scenario, server: Machine, end: signal.Signals
) -> None:
    sales.load(scenario, RECORDS)
    run_id = sales.planned(scenario, sales.slow())
    with ThreadPoolExecutor(1) as worker:
        ending = worker.submit(sales.worked_off, scenario, run_id)
        eventually(lambda: sales.is_in_work(scenario, run_id))
        server.stop(end)
        server.start()
        assert ending.result(2 * PATIENCE).state == "succeeded"
    assert sales.removed(scenario, RECORDS) == set(range(RECORDS))
    assert_nothing_lost_or_done_twice(scenario, run_id, set(range(RECORDS)))
