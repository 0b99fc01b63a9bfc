"""However the commands of people interleave, no plan goes on that one of them alone wanted."""

import random
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from policies.errors import TendError
from policies.models import Policy
from tests.worker.scenario import Scenario, old, purge
from worker import approval, operations
from worker.audit.verify import verify
from worker.database import Database
from worker.errors import ForbiddenArrow
from worker.identity import Actor
from worker.operations import Person

PEOPLE = [
    Person(Actor(name, "token", account=f"{name}@desk"), "a test") for name in ("ann", "bob", "cy")
]
POLICY = purge(approval="required", guards={"max_records": 5, "max_percent": 30})
SALES = {"few": 4, "many": 40}


Ask = Callable[[Database, int, Person], Any]
ASKS: list[Ask] = [
    lambda db, run, person: operations.apply(db, run, POLICY, person, inline=True),
    lambda db, run, person: approval.approve(db, run, POLICY, person, inline=True),
    lambda db, run, person: approval.override(db, run, "max_records", POLICY, person),
    lambda db, run, person: approval.override(db, run, "max_percent", POLICY, person),
    lambda db, run, person: operations.resume(db, run, person, inline=True),
    approval.reject,
]
WEIGHTS = [4, 6, 4, 4, 1, 1]
ENDS = {"approve": "applying", "reject": "rejected", "cancel": "cancelled"}


def fill(scenario: Scenario, aged: int) -> None:
    scenario.shop.salesData.insert_many(
        [{"_id": number, "createdAt": old(3000)} for number in range(aged)]
        + [{"_id": f"young {number}", "createdAt": old(1)} for number in range(40)]
    )


def request(scenario: Scenario, person: Person, policy: Policy) -> int:
    return operations.request(
        scenario.engine.database,
        policy,
        "test",
        person,
        apply_after_plan=False,
        inline=True,
        narrowing={},
    )


@pytest.mark.sqlite_control
@pytest.mark.parametrize("size", SALES)
@pytest.mark.parametrize("seed", range(12))
def test_what_was_changed_had_the_yes_of_somebody_who_had_not_asked(
    scenario: Scenario, seed: int, size: str
) -> None:
    dice = random.Random(seed)
    fill(scenario, SALES[size])
    first = dice.choice(PEOPLE)
    run_id = request(scenario, first, POLICY)
    scenario.advance(run_id)
    for _ in range(25):
        person = dice.choice(PEOPLE)
        (ask,) = dice.choices(ASKS, WEIGHTS)
        with suppress(TendError):
            ask(scenario.engine.database, run_id, person)
        run = scenario.advance(run_id)
        if run.applying_at is not None:
            names = {one["name"] for one in run.asked_by}
            assert first.actor.name in names
            assert run.decided_by is not None
            assert run.decided_by not in names
            assert {"few": 0, "many": 2}[size] == len(run.overrides)
        else:
            assert scenario.shop.salesData.count_documents({}) == 40 + SALES[size]
    assert verify(scenario.engine.database).findings == []


@pytest.mark.parametrize("other", ["approve", "reject", "cancel"])
def test_of_two_who_decide_at_once_one_wins_and_the_other_is_told(
    scenario: Scenario, other: str
) -> None:
    fill(scenario, 4)
    ann, bob, cy = PEOPLE
    run_id = request(scenario, ann, POLICY)
    scenario.advance(run_id)
    db = scenario.engine.database
    operations.apply(db, run_id, POLICY, ann, inline=True)
    both = threading.Barrier(2)
    decide: dict[str, Callable[[], object]] = {
        "approve": lambda: approval.approve(db, run_id, POLICY, cy, inline=True),
        "reject": lambda: approval.reject(db, run_id, cy),
        "cancel": lambda: operations.cancel(scenario.engine, run_id, cy),
    }

    def race(ask: Callable[[], object]) -> bool:
        both.wait(timeout=30)
        try:
            ask()
        except ForbiddenArrow:
            return False
        return True

    asks = [lambda: approval.approve(db, run_id, POLICY, bob, inline=True), decide[other]]
    with ThreadPoolExecutor(2) as racers:
        won = list(racers.map(race, asks))
    run = scenario.run(run_id)
    if other == "cancel" and won == [True, True]:
        assert run.state == "cancelled"  # approved first, and then ended before it began
    else:
        assert sum(won) == 1
        assert run.state == ("applying" if won[0] else ENDS[other])
    assert verify(db).findings == []
