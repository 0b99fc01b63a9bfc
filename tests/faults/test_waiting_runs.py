"""Runs that meet: one writer for a policy and a collection, and who waits holds nothing."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient
from sqlalchemy import select

from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import eventually, tend
from tests.worker.scenario import TESTER, Scenario, old, purge, sessions
from worker import braking, operations
from worker.audit.verify import verify
from worker.states import UNFINISHED
from worker.tables import Chunk, Run

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
RECORDS = 30


def half_a_day_away() -> str:
    """A window that is closed now and for hours."""
    hour = datetime.now(UTC).hour
    return f"{(hour + 11) % 24:02}:00-{(hour + 13) % 24:02}:00 UTC"


def states(scenario: Scenario, run_ids: list[int]) -> list[str]:
    return [scenario.run(run_id).state for run_id in run_ids]


def assert_holds_nothing(scenario: Scenario, run_id: int) -> None:
    run = scenario.run(run_id)
    assert run.lease_until is None or run.lease_until < datetime.now(UTC)
    assert {chunk.state for chunk in scenario.chunks(run_id)} <= {"pending"}


def test_runs_that_wait_for_something_hold_neither_thread_nor_claim_nor_transaction(
    scenario: Scenario, environment: dict[str, str], mongo_admin: MongoClient[dict[str, Any]]
) -> None:
    """One thread for all of them: it would be gone if one that waits kept it."""
    sales.load(scenario, RECORDS)
    scenario.shop.sessions.insert_one({"expiresAt": old(400), "isActive": True})
    braking.pull(scenario.engine.database, "braked", TESTER, everything=False)
    policies = [purge(name="at-night", window=half_a_day_away()), purge(name="braked")]
    waiting = [sales.request(scenario, policy) for policy in (*policies, policies[0])]
    with (
        tend(environment, "scheduler"),
        tend(environment, "worker", "--processes", "1", "--threads", "1"),
    ):
        eventually(lambda: states(scenario, waiting) == ["applying", "applying", "queued"])
        free = sales.request(scenario, sessions(name="free"))
        assert sales.finished(scenario, free).state == "succeeded"
        assert states(scenario, waiting) == ["applying", "applying", "queued"]
        for run_id in waiting:
            assert_holds_nothing(scenario, run_id)
        status = mongo_admin.admin.command("serverStatus")
        assert status["transactions"]["currentOpen"] == 0
        assert sales.removed(scenario, RECORDS) == set()
        braking.release(scenario.engine.database, "braked", TESTER, everything=False)
        assert sales.finished(scenario, waiting[1]).state == "succeeded"
        for run_id in (waiting[2], waiting[0]):
            operations.cancel(scenario.engine, run_id, TESTER)
    assert_nothing_lost_or_done_twice(scenario, waiting[1], set(range(RECORDS)))
    assert sales.removed(scenario, RECORDS) == set(range(RECORDS))


def at_once(scenario: Scenario) -> tuple[set[int], list[str]]:
    """The runs with a chunk in work, and the policies of those that apply, at one moment."""
    with scenario.engine.database.transaction() as session:
        at_work = session.scalars(select(Chunk.run_id).where(Chunk.state == "claimed"))
        applying = session.scalars(select(Run.policy).where(Run.state == "applying"))
        return set(at_work), list(applying)


def test_of_six_runs_on_one_collection_never_two_write_and_each_finishes(
    scenario: Scenario, environment: dict[str, str]
) -> None:
    sales.load(scenario, RECORDS)
    policies = [purge(name=name, batch={"records": 5}, chunk=5) for name in ("one", "two", "three")]
    run_ids = [sales.request(scenario, policy) for policy in (*policies, *policies)]

    def all_over() -> bool:
        at_work, applying = at_once(scenario)
        assert len(at_work) <= 1
        assert len(set(applying)) == len(applying)
        return not {scenario.run(run_id).state for run_id in run_ids} & UNFINISHED

    with tend(environment, "scheduler"), tend(environment, "worker", "--processes", "2"):
        eventually(all_over)
    assert set(states(scenario, run_ids)) == {"succeeded"}
    assert sales.removed(scenario, RECORDS) == set(range(RECORDS))
    assert sum(scenario.run(run_id).planned for run_id in run_ids) == RECORDS
    assert verify(scenario.engine.database).findings == []
