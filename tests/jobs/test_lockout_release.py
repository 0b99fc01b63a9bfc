"""What is released, what stays, and that time away makes no difference."""

from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

import policies
from tests.jobs.upset import Upset
from tests.worker.scenario import NOW, Scenario, old
from worker.registry import Policies

pytestmark = pytest.mark.sqlite_control

POLICY = Policies.load([Path(policies.__path__[0])]).get("lockout-release").policy
HOUR = 1 / 24
USERS: list[dict[str, Any]] = [
    {"_id": "over", "isLocked": True, "lockedAt": old(HOUR), "lockedUntil": old(HOUR / 2)},
    {"_id": "over since a year", "isLocked": True, "lockedUntil": old(366)},
    {"_id": "over this very moment", "isLocked": True, "lockedUntil": NOW},
    {"_id": "locked still", "isLocked": True, "lockedUntil": old(-HOUR)},
    {"_id": "locked by a person", "isLocked": True, "lockedAt": old(9)},
    {"_id": "locked with an odd date", "isLocked": True, "lockedUntil": "yesterday"},
    {"_id": "asked for more", "stepUpUntil": old(HOUR)},
    {"_id": "asked for more still", "stepUpUntil": old(-HOUR)},
    {"_id": "free", "isLocked": False, "lockedUntil": old(9)},
]
BLOCKS: list[dict[str, Any]] = [
    {"_id": 1, "ipAddress": "203.0.113.7", "reason": "brute_force_attack", "expiresAt": old(1)},
    {"_id": 2, "ipAddress": "203.0.113.8", "reason": "brute_force_attack", "expiresAt": old(-1)},
    {"_id": 3, "ipAddress": "203.0.113.9", "reason": "by hand", "expiresAt": old(1)},
]
OVER = {"over", "over since a year", "over this very moment"}


def arrange(scenario: Scenario) -> None:
    scenario.shop.users.insert_many(USERS)
    scenario.shop.ipblacklists.insert_many(BLOCKS)


UPSETS = {"lockout-release": Upset(arrange, 5, ("users", "ipblacklists"))}


def locked(scenario: Scenario) -> set[str]:
    return set(scenario.shop.users.distinct("_id", {"isLocked": True}))


def test_what_ran_out_is_free_and_a_persons_lock_stays(scenario: Scenario) -> None:
    arrange(scenario)
    before = locked(scenario)
    assert scenario.run_through(POLICY).state == "succeeded"
    assert before - locked(scenario) == OVER
    freed = scenario.shop.users.find_one({"_id": "over"})
    assert freed == {"_id": "over", "isLocked": False}
    asked = scenario.shop.users.distinct("_id", {"stepUpUntil": {"$exists": True}})
    assert asked == ["asked for more still"]
    assert set(scenario.shop.ipblacklists.distinct("_id")) == {2, 3}


def test_a_lock_that_was_renewed_after_the_plan_stays(scenario: Scenario) -> None:
    arrange(scenario)
    plan = scenario.plan(POLICY)
    later = {"$set": {"lockedUntil": old(-1)}}
    scenario.shop.users.update_one({"_id": "over"}, later)
    run = scenario.apply(plan)
    assert "over" in locked(scenario)
    (first, *_) = scenario.chunks(run.id)
    assert (first.changed, first.changed_since) == (4, 1)


def test_what_is_not_over_at_the_plan_is_left_to_the_next_run(scenario: Scenario) -> None:
    arrange(scenario)
    scenario.run_through(POLICY)
    assert "locked still" in locked(scenario)
    scenario.clock.moment += timedelta(hours=2)
    scenario.run_through(POLICY)
    assert "locked still" not in locked(scenario)
