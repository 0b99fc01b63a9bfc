"""The target hangs up, falls silent, restarts or is busy: counts stay exact, and runs finish."""

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from pymongo.database import Database as MongoDatabase

from demo.servers import Mongo
from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.proxy import Proxy, What, proxy
from tests.faults.sales import look, waits_for, worked_off
from tests.worker.scenario import TESTER, Scenario, old, purge
from worker import applying, claims, operations
from worker.targets import mongo, mongo_fence
from worker.targets.mongo import MongoTarget

on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
RECORDS = 40
COMMANDS = {
    "take": b"\x02findAndModify\0",
    "stand": b"\x02update\0",
    "read": b"\x02find\0\x0a\0\0\0salesData\0",
    "delete": b"\x02delete\0",
    "commit": b"commitTransaction\0",
}


@pytest.fixture
def between(mongo_server: Mongo) -> Iterator[Proxy]:
    with proxy(mongo_server.port) as found:
        yield found


@pytest.fixture
def mongo_url(
    mongo_server: Mongo, mongo_database: MongoDatabase[dict[str, Any]], between: Proxy
) -> str:
    """Through the proxy; a client that looks for the replica set would find the way around it."""
    direct = mongo_server.url(mongo_database.name, "tend")
    through = direct.replace(f":{mongo_server.port}/", f":{between.port}/")
    return through.replace("replicaSet=tend", "directConnection=true")


@pytest.fixture
def mongo_read_url(mongo_url: str) -> str:
    return mongo_url


@pytest.fixture
def planned(scenario: Scenario) -> int:
    sales.load(scenario, RECORDS)
    return sales.planned(scenario, purge(batch={"records": 10}, chunk=20))


def with_target(scenario: Scenario, target: MongoTarget) -> Scenario:
    return replace(scenario, engine=replace(scenario.engine, targets={"mongo": target}))


def assert_exact(scenario: Scenario, run_id: int) -> None:
    assert sales.removed(scenario, RECORDS) == set(range(RECORDS))
    assert_nothing_lost_or_done_twice(scenario, run_id, set(range(RECORDS)))


@on_sqlite
@pytest.mark.parametrize("what", ["request", "reply"])
@pytest.mark.parametrize("command", COMMANDS)
def test_a_connection_cut_in_a_batch_costs_nothing(
    scenario: Scenario, planned: int, between: Proxy, command: str, what: What
) -> None:
    loss = between.lose(what, COMMANDS[command])
    assert worked_off(scenario, planned).state == "succeeded"
    assert loss.happened == 1
    assert_exact(scenario, planned)


@on_sqlite
def test_a_server_that_falls_silent_in_a_batch_costs_its_deadline_and_nothing_else(
    scenario: Scenario, planned: int, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_fence, "BATCH_SECONDS", 5)
    loss = between.lose("request", COMMANDS["delete"], silent=True)
    assert worked_off(scenario, planned).state == "succeeded"
    assert loss.happened == 1
    assert [chunk.attempt for chunk in scenario.chunks(planned)] == [1, 1]
    assert_exact(scenario, planned)


@on_sqlite
def test_a_commit_that_is_never_answered_is_found_in_the_fence_and_counted_once(
    scenario: Scenario, planned: int, between: Proxy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_fence, "BATCH_SECONDS", 5)
    loss = between.lose("reply", COMMANDS["commit"], silent=True)
    assert worked_off(scenario, planned).state == "succeeded"
    assert loss.happened == 1
    assert [chunk.attempt for chunk in scenario.chunks(planned)] == [2, 1]
    assert_exact(scenario, planned)


@on_sqlite
def test_a_plan_whose_target_goes_away_fails_with_the_cause_and_can_be_resumed(
    scenario: Scenario, between: Proxy
) -> None:
    sales.load(scenario, RECORDS)
    loss = between.lose("request", COMMANDS["read"], times=100)
    run = worked_off(scenario, sales.request(scenario, purge()))
    assert (run.state, run.phase) == ("failed", "plan")
    assert run.error is not None
    assert "does not answer; check the server and TEND_MONGO_URL" in run.error
    loss.times = loss.happened
    assert scenario.resume(run).state == "succeeded"
    assert_exact(scenario, run.id)


@on_sqlite
def test_a_count_that_fails_after_the_last_chunk_is_asked_for_again_at_once(
    scenario: Scenario, planned: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo, "COUNT_SECONDS", 5)
    for _ in scenario.chunks(planned):
        claim = claims.claim(scenario.engine.database, planned, "worker", scenario.engine.actor)
        assert claim is not None
        assert applying.work_on(scenario.engine, claim)
    nowhere = MongoTarget("mongodb://127.0.0.1:1/shop")
    assert look(with_target(scenario, nowhere), planned).state == "verifying"
    nowhere.close()
    assert look(scenario, planned).state == "succeeded"
    assert_exact(scenario, planned)


@on_sqlite
def test_an_undo_that_the_target_refuses_fails_with_the_cause_and_can_be_resumed(
    scenario: Scenario, planned: int, mongo_server: Mongo
) -> None:
    before = scenario.contents("salesData")
    claims.claim(scenario.engine.database, planned, "lost", scenario.engine.actor)
    operations.interrupted(scenario.engine, planned)
    operations.undo(scenario.engine.database, planned, TESTER, inline=False)
    reader = MongoTarget(mongo_server.url(scenario.shop.name, "reader"))
    run = look(with_target(scenario, reader), planned)
    reader.close()
    assert (run.state, run.phase) == ("failed", "settle")
    assert run.error is not None
    assert "does not allow this user the operation" in run.error
    assert scenario.resume(run).state == "undone"
    assert scenario.contents("salesData") == before


@on_sqlite
def test_a_record_that_the_application_holds_is_waited_for_and_its_change_respected(
    scenario: Scenario,
) -> None:
    sales.load(scenario, RECORDS)
    run_id = sales.request(scenario, purge(batch={"records": 10}, chunk=RECORDS))
    with scenario.shop.client.start_session() as session, session.start_transaction():
        revival = {"$set": {"createdAt": old(1)}}
        scenario.shop.salesData.update_one({"_id": 25}, revival, session=session)
        assert look(scenario, run_id).state == "applying"
        (chunk,) = scenario.chunks(run_id)
        assert (chunk.state, chunk.changed, chunk.retries) == ("pending", 20, 1)
        assert "changed in the same moment; the batch is tried again" in waits_for(scenario, run_id)
    assert worked_off(scenario, run_id).state == "succeeded"
    (chunk,) = scenario.chunks(run_id)
    assert (chunk.changed, chunk.changed_since) == (RECORDS - 1, 1)
    assert_nothing_lost_or_done_twice(scenario, run_id, set(range(RECORDS)) - {25})
