"""`kill -9` at every step of a batch: each planned record is changed once, and counts are exact."""

import random
import signal
import subprocess
from contextlib import suppress

import pytest

from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.processes import PATIENCE
from tests.faults.victim import STEPS, start
from tests.worker.scenario import Scenario, old, purge

RECORDS = 240


@pytest.fixture
def run_id(scenario: Scenario) -> int:
    scenario.shop.salesData.insert_many(
        [{"_id": number, "createdAt": old(3000)} for number in range(RECORDS)]
        + [{"_id": f"young {number}", "createdAt": old(1)} for number in range(20)]
    )
    plan = scenario.plan(purge(batch={"records": 20}, chunk=60))
    scenario.apply_later(plan)
    return plan.id


def removed(scenario: Scenario) -> set[int]:
    left = {record["_id"] for record in scenario.shop.salesData.find({}, {"_id": 1})}
    assert len({key for key in left if isinstance(key, str)}) == 20
    return set(range(RECORDS)) - left


@pytest.mark.parametrize("step", STEPS)
def test_a_worker_killed_at_a_step_leaves_exact_work(
    scenario: Scenario, environment: dict[str, str], run_id: int, step: str
) -> None:
    victim = start(environment, run_id, step, 3 if "chunk" not in step else 1, signal.SIGKILL)
    assert victim.wait(PATIENCE) == -signal.SIGKILL
    scenario.expire_leases()
    run = scenario.work_off(run_id)
    assert run.state == "succeeded"
    assert removed(scenario) == set(range(RECORDS))
    assert_nothing_lost_or_done_twice(scenario, run_id, removed(scenario))


@pytest.mark.parametrize("seed", range(2))
def test_two_workers_killed_at_random_moments_leave_exact_work(
    scenario: Scenario, environment: dict[str, str], run_id: int, seed: int
) -> None:
    chance = random.Random(seed)
    for _ in range(4):
        pair = [
            start(environment, run_id, step, chance.randint(1, 4), signal.SIGKILL)
            for step in chance.choices(list(STEPS), k=2)
        ]
        for process in pair:
            with suppress(subprocess.TimeoutExpired):
                process.wait(20)
            process.kill()
            process.wait()
        scenario.expire_leases()
        if scenario.run(run_id).state == "failed":
            scenario.reopen(run_id)
    run = scenario.work_off(run_id)
    assert run.state == "succeeded"
    assert_nothing_lost_or_done_twice(scenario, run_id, removed(scenario))
    assert removed(scenario) == set(range(RECORDS))
