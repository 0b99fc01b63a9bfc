"""A worker with older code than the plan: it changes nothing, and a newer one goes on."""

import json
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from sqlalchemy import update

from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.sales import look
from tests.worker.scenario import TESTER, Scenario, purge
from worker import applying, claims, operations, present, runs
from worker.audit.verify import verify
from worker.tables import Run

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
RECORDS = 40
POLICY = purge(batch={"records": 10}, chunk=20)


@contextmanager
def of_newer_code(scenario: Scenario, run_id: int) -> Iterator[None]:
    """The run's frozen text has a word that this code does not know yet."""
    text = scenario.run(run_id).policy_text
    document = json.loads(text)
    document["options"]["not_known_yet"] = True
    for frozen in (json.dumps(document), text):
        with scenario.engine.database.transaction() as session:
            session.execute(update(Run).where(Run.id == run_id).values(policy_text=frozen))
        if frozen != text:
            yield


def test_a_run_that_older_code_cannot_read_is_left_to_a_newer_worker_to_plan(
    scenario: Scenario,
) -> None:
    sales.load(scenario, RECORDS)
    run_id = sales.request(scenario, POLICY)
    with of_newer_code(scenario, run_id):
        assert look(scenario, run_id).state == "queued"
        assert _waits_for(scenario, run_id).startswith("a worker of the Tend that made it, for ")
    assert sales.worked_off(scenario, run_id).state == "succeeded"
    assert_nothing_lost_or_done_twice(scenario, run_id, sales.removed(scenario, RECORDS))
    assert sales.removed(scenario, RECORDS) == set(range(RECORDS))


def test_a_plan_that_older_code_cannot_read_is_left_as_it_is_and_a_newer_worker_goes_on(
    scenario: Scenario,
) -> None:
    sales.load(scenario, RECORDS)
    run_id = sales.planned(scenario, POLICY)
    claim = claims.claim(scenario.engine.database, run_id, "newer", scenario.engine.actor)
    assert claim is not None
    assert applying.work_on(scenario.engine, claim)
    before = scenario.contents("salesData")
    with of_newer_code(scenario, run_id):
        assert look(scenario, run_id).state == "applying"
        assert "not_known_yet" in _waits_for(scenario, run_id)
        assert scenario.contents("salesData") == before
        assert [chunk.attempt for chunk in scenario.chunks(run_id)] == [1, 0]
    assert sales.worked_off(scenario, run_id).state == "succeeded"
    assert_nothing_lost_or_done_twice(scenario, run_id, sales.removed(scenario, RECORDS))
    assert sales.removed(scenario, RECORDS) == set(range(RECORDS))
    assert verify(scenario.engine.database).findings == []


def test_a_run_that_this_version_cannot_read_can_be_cancelled(scenario: Scenario) -> None:
    sales.load(scenario, RECORDS)
    run_id = sales.planned(scenario, POLICY)
    with of_newer_code(scenario, run_id):
        operations.cancel(scenario.engine, run_id, TESTER)
        assert scenario.run(run_id).state == "cancelled"


def _waits_for(scenario: Scenario, run_id: int) -> str:
    """What `tend show` says."""
    with scenario.engine.database.transaction() as session:
        return str(present.run_as_json(session, runs.get(session, run_id))["waiting_for"])
