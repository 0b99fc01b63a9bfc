"""The anomaly gate: the rule with worked numbers, and when it asks a person."""

import random
from collections.abc import Sequence
from math import comb
from typing import Any

import pytest
from sqlalchemy import update

from tests.worker.scenario import ANOTHER, TESTER, Scenario, old, purge
from worker import advance, anomaly, approval, operations, runs
from worker.anomaly import usual
from worker.registry import frozen_policy, job_of
from worker.runs import Request
from worker.states import State
from worker.tables import Run

GUARDS = {"max_records": 100, "max_percent": 100}
STEADY = (10, 12, 9, 11, 14, 10, 13, 8, 11, 12)


@pytest.mark.parametrize(
    ("past", "max_records", "largest_usual"),
    [
        # A day of sales: about 4,000 rows grow too old, and 20,000 is the guard.
        ((3_900, 4_100, 4_000, 3_700, 4_050, 3_950, 4_000, 4_020, 3_980, 3_800), 20_000, 12_300),
        # Nights and mornings of expired sessions: what one morning had is the measure.
        ((6, 9, 4, 5, 210, 480, 350, 40, 12, 7), 5_000, 1_440),
        # A policy that found nothing ten times: a tenth of the guard.
        ((0, 0, 0, 0, 0, 0, 0, 0, 0, 0), 1_000, 100),
        # Numbers so small that three times the largest is no more than chance.
        ((0, 1, 0, 0, 2), 500, 50),
        # A guard of zero allows nothing, and then nothing is usual.
        ((0, 0, 0, 0, 0), 0, 0),
    ],
)
def test_up_to_three_times_the_largest_or_a_tenth_of_the_guard_is_usual(
    past: Sequence[int], max_records: int, largest_usual: int
) -> None:
    assert usual(past, max_records) == largest_usual


@pytest.mark.parametrize(
    ("runs_before", "one_in"), [(anomaly.LOOKED_AT, 286), (anomaly.NEEDED, 56)]
)
def test_runs_that_vary_as_widely_as_waiting_times_are_stopped_as_seldom_as_documented(
    runs_before: int, one_in: int
) -> None:
    assert comb(runs_before + anomaly.TIMES, anomaly.TIMES) == one_in
    dice = random.Random(286)
    tried = 200_000
    stopped = sum(
        dice.expovariate(1) > anomaly.TIMES * max(dice.expovariate(1) for _ in range(runs_before))
        for _ in range(tried)
    )
    assert stopped * one_in == pytest.approx(tried, rel=0.1)


def fill(scenario: Scenario, aged: int) -> None:
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(aged)])


def past(scenario: Scenario, sizes: Sequence[int], **columns: Any) -> None:
    """Runs of the policy that are over, with plans of these sizes."""
    for size in sizes:
        run_id = scheduled(scenario)
        with scenario.engine.database.transaction() as session:
            values = {"state": State.SUCCEEDED, "planned": size, **columns}
            session.execute(update(Run).where(Run.id == run_id).values(**values))


def scheduled(scenario: Scenario, **parts: Any) -> int:
    """A run that the schedule of an enabled policy begins."""
    policy = purge(guards=GUARDS, **parts)
    operations.enable(scenario.engine.database, policy, TESTER)
    wanted = Request(
        policy, "test", "schedule", scenario.engine.actor, "x", apply_after_plan=True, inline=True
    )
    with scenario.engine.database.transaction() as session:
        return runs.create(session, wanted).id


def fired(scenario: Scenario, **parts: Any) -> Run:
    return scenario.advance(scheduled(scenario, **parts))


def test_a_scheduled_plan_far_outside_the_last_runs_waits_and_says_why(
    scenario: Scenario,
) -> None:
    past(scenario, STEADY)
    fill(scenario, 43)
    run = fired(scenario)
    assert run.state == "awaiting_approval"
    assert run.approval_cause == (
        "43 records are far more than its last 10 scheduled runs had: they had 14 at most, and up "
        "to 42 count as usual"
    )
    assert scenario.shop.salesData.count_documents({}) == 43
    policy = frozen_policy(run.policy_text)
    approval.approve(scenario.engine.database, run.id, policy, ANOTHER, inline=True)
    assert scenario.advance(run.id).state == "succeeded"


def test_what_was_approved_is_usual_from_then_on(scenario: Scenario) -> None:
    past(scenario, [*STEADY, 43])
    fill(scenario, 90)
    assert fired(scenario).state == "succeeded"


def test_the_largest_plan_that_is_usual_goes_on(scenario: Scenario) -> None:
    past(scenario, STEADY)
    fill(scenario, 42)
    assert fired(scenario).state == "succeeded"


def test_only_the_last_ten_runs_count(scenario: Scenario) -> None:
    past(scenario, [90, *STEADY])
    fill(scenario, 43)
    assert fired(scenario).state == "awaiting_approval"


@pytest.mark.parametrize(
    "columns",
    [{"state": State.UNDONE}, {"state": State.PLANNED}, {"trigger": "manual"}, {"policy": "other"}],
)
def test_what_was_taken_back_only_observed_or_asked_for_by_hand_is_no_measure(
    scenario: Scenario, columns: dict[str, Any]
) -> None:
    past(scenario, STEADY)
    past(scenario, [90, 90, 90, 90, 90], **columns)
    fill(scenario, 43)
    assert fired(scenario).state == "awaiting_approval"


def test_with_fewer_than_five_runs_to_compare_with_the_guards_decide_alone(
    scenario: Scenario,
) -> None:
    past(scenario, [1, 1, 1, 1])
    fill(scenario, 90)
    assert fired(scenario).state == "succeeded"
    fill(scenario, 101)
    assert fired(scenario).state == "refused"


def test_a_policy_can_say_that_nobody_is_asked(scenario: Scenario) -> None:
    past(scenario, STEADY)
    fill(scenario, 43)
    assert fired(scenario, approval="none").state == "succeeded"


def test_what_a_person_asks_for_is_not_stopped(scenario: Scenario) -> None:
    past(scenario, STEADY)
    fill(scenario, 43)
    assert scenario.run_through(purge(guards=GUARDS)).state == "succeeded"


def test_a_scheduled_plan_that_a_person_applies_is_not_stopped(scenario: Scenario) -> None:
    past(scenario, STEADY)
    fill(scenario, 43)
    policy = purge(guards=GUARDS)
    run_id = scheduled(scenario)
    operations.disable(scenario.engine.database, policy, TESTER)
    advance.advance(scenario.engine, run_id)
    assert scenario.run(run_id).state == "planned"
    assert scenario.apply(scenario.run(run_id)).state == "succeeded"


def test_security_is_not_kept_waiting_while_an_attack_goes_on(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    past(scenario, STEADY)
    fill(scenario, 43)
    monkeypatch.setattr(type(job_of(purge())), "security", True)
    assert fired(scenario).state == "succeeded"
