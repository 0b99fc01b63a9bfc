"""Brakes and pauses at random moments of a run and its undo, against an oracle of sets."""

from contextlib import suppress

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.errors import ExecutionTimeout

from tests.examples import examples
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.worker.between_batches import in_each_batch
from tests.worker.scenario import NOW, TESTER, Scenario, old, purge
from worker import braking, operations
from worker.audit.verify import verify
from worker.errors import UsageError
from worker.states import State

pytestmark = pytest.mark.sqlite_control

RECORDS = 24
MOMENTS = 10
interruptions = st.dictionaries(
    st.integers(1, MOMENTS), st.sampled_from(["brake", "own brake", "pause", "touch"]), max_size=6
)


def pull(scenario: Scenario, policy: str | None) -> None:
    braking.pull(scenario.engine.database, policy, TESTER, everything=False)


def let_go_on(scenario: Scenario, run_id: int) -> None:
    with suppress(UsageError):  # none was pulled
        braking.release(scenario.engine.database, None, TESTER, everything=True)
    if scenario.run(run_id).state == State.PAUSED:
        scenario.reopen(run_id)


def interrupt(scenario: Scenario, run_id: int, what: str | None, key: int) -> bool:
    """Do it in the middle of a batch; returns whether the application touched the record."""
    match what:
        case "brake":
            pull(scenario, None)
        case "own brake":
            pull(scenario, "under-test")
        case "pause" if scenario.run(run_id).state != State.PAUSED:
            operations.pause(scenario.engine.database, run_id, TESTER)
        case "touch":
            return touch(scenario, key)
    return False


def touch(scenario: Scenario, key: int) -> bool:
    """What the batch at work has changed already, the application would have to wait for."""
    try:
        young = {"$set": {"createdAt": NOW}}
        found = scenario.shop.salesData.find_one_and_update({"_id": key}, young, maxTimeMS=100)
    except ExecutionTimeout:
        return False
    return found is not None


@settings(
    max_examples=examples(10),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(interruptions, interruptions, st.permutations(range(RECORDS)))
def test_interrupted_at_random_a_run_loses_no_record_and_does_none_twice(
    scenario: Scenario, applying: dict[int, str], undoing: dict[int, str], order: list[int]
) -> None:
    sales = scenario.shop.salesData
    sales.delete_many({})
    sales.insert_many([{"_id": number, "createdAt": old(3000)} for number in range(RECORDS)])
    before = scenario.contents("salesData")
    plan = scenario.plan(purge(chunk=9, batch={"records": 4}))
    run_id = plan.id
    touched: set[int] = set()

    def while_applying(number: int) -> None:
        key = order[number % RECORDS]
        if interrupt(scenario, run_id, applying.get(number), key):
            touched.add(key)

    def worked_off(end: State) -> None:
        for _ in range(2 * MOMENTS):
            if scenario.advance(run_id).state == end:
                return
            let_go_on(scenario, run_id)
        raise AssertionError(f"it did not end: {scenario.run(run_id).state}")

    with in_each_batch(while_applying):
        scenario.apply_later(plan)
        worked_off(State.SUCCEEDED)
    gone = set(range(RECORDS)) - {record["_id"] for record in sales.find({}, {"_id": 1})}
    assert gone == set(range(RECORDS)) - touched
    assert_nothing_lost_or_done_twice(scenario, run_id, gone)

    let_go_on(scenario, run_id)
    operations.undo(scenario.engine.database, run_id, TESTER, inline=True)
    without_touch = {when: what for when, what in undoing.items() if what != "touch"}

    def while_undoing(number: int) -> None:
        interrupt(scenario, run_id, without_touch.get(number), 0)

    with in_each_batch(while_undoing):
        worked_off(State.UNDONE)
    after = scenario.contents("salesData")
    assert {key: after[key] for key in gone} == {key: before[key] for key in gone}
    assert set(after) == set(before)
    let_go_on(scenario, run_id)
    assert verify(scenario.engine.database).findings == []
