"""What a doorbell leads to: a step, another ring, or a cause on record."""

import json

import pytest
from sqlalchemy import delete, func, select, update

from policies.errors import PolicyError
from tests.worker.scenario import TESTER, Scenario, old, purge
from worker import advance, operations
from worker.tables import Doorbell, Run


@pytest.fixture
def run_id(scenario: Scenario) -> int:
    """A planned run that workers may apply, whose rings have all been heard."""
    scenario.shop.salesData.insert_many([{"_id": n, "createdAt": old(3000)} for n in range(5)])
    policy = purge()
    run = scenario.plan(policy)
    operations.apply(scenario.engine.database, run.id, policy, TESTER, inline=False)
    with scenario.engine.database.transaction() as session:
        session.execute(delete(Doorbell))
    return run.id


def owed(scenario: Scenario) -> int:
    with scenario.engine.database.transaction() as session:
        return session.scalar(select(func.count()).select_from(Doorbell)) or 0


def test_a_process_that_drains_passes_its_ring_on(scenario: Scenario, run_id: int) -> None:
    scenario.engine.draining.set()
    advance.advance(scenario.engine, run_id)
    assert (scenario.run(run_id).state, owed(scenario)) == ("applying", 1)


def test_what_is_left_at_the_end_of_a_shift_is_rung_for(scenario: Scenario, run_id: int) -> None:
    advance.advance(scenario.engine, run_id, seconds=0)
    assert (scenario.run(run_id).state, owed(scenario)) == ("applying", 1)


def test_a_run_that_needs_nothing_more_is_not_rung_for(scenario: Scenario, run_id: int) -> None:
    advance.advance(scenario.engine, run_id)
    assert (scenario.run(run_id).state, owed(scenario)) == ("succeeded", 0)


def test_a_ring_for_a_run_that_does_not_exist_is_dropped(scenario: Scenario) -> None:
    advance.advance(scenario.engine, 4711)
    assert owed(scenario) == 0


def test_a_run_that_this_version_cannot_read_is_left_to_one_that_can(
    scenario: Scenario, run_id: int
) -> None:
    text = json.loads(scenario.run(run_id).policy_text)
    with scenario.engine.database.transaction() as session:
        unknown = json.dumps({**text, "job": "no_such_job"})
        session.execute(update(Run).values(policy_text=unknown))
    with pytest.raises(PolicyError, match="there is no job 'no_such_job'"):
        scenario.advance(run_id)
    assert scenario.run(run_id).state == "applying"
    assert scenario.shop.salesData.count_documents({}) == 5
