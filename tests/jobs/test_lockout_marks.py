"""A look that goes by its mark plans what one plans that reads everything anew."""

from datetime import timedelta
from pathlib import Path
from random import Random
from typing import Any, cast

import pytest
from sqlalchemy import delete

import policies
from jobs.login_lockout import acting, marks
from jobs.login_lockout.deciding import LoginLockout
from jobs.login_lockout.options import LockoutOptions
from jobs.login_lockout.tables import LockoutMark, LockoutPardon
from tests.worker.scenario import NOW, Scenario
from worker.registry import Policies
from worker.tasks.context import Performing

pytestmark = pytest.mark.sqlite_control

POLICY = Policies.load([Path(policies.__path__[0])]).get("login-lockout").policy
OPTIONS = cast(LockoutOptions, POLICY.options)
LOOKS = 16


@pytest.fixture
def shop(scenario: Scenario) -> Scenario:
    scenario.shop.users.insert_many([{"_id": name} for name in ("ann", "bob")])
    scenario.shop.loginevents.create_index("timestamp")
    return scenario


def context(shop: Scenario) -> Performing:
    return Performing(shop.engine, "login_lockout", shop.clock.moment)


def plan(shop: Scenario) -> list[Any]:
    return list(LoginLockout().plan(context(shop), POLICY))


def goes_by_its_mark(shop: Scenario) -> bool:
    end = shop.clock.moment + OPTIONS.skew.delta
    return marks.stands(context(shop), POLICY, OPTIONS, end)


def planned_anew(shop: Scenario) -> list[Any]:
    """Without the mark, which is as it was afterwards."""
    with shop.engine.database.transaction() as session:
        mark = session.get(LockoutMark, POLICY.name)
        if mark is not None:
            session.expunge(mark)
        session.execute(delete(LockoutMark))
    found = plan(shop)
    with shop.engine.database.transaction() as session:
        session.execute(delete(LockoutMark))
        if mark is not None:
            names = [column.name for column in LockoutMark.__table__.columns]
            values = {name: getattr(mark, name) for name in names}
            session.add(LockoutMark(**values))
    return found


def event(random: Random, shop: Scenario) -> dict[str, Any]:
    """On time, late, or from a clock that is ahead."""
    ago = random.choice([0, 1, 30, 200, 500, 595, 700, -60, -200])
    return {
        "userId": random.choice(["ann", "bob"]),
        "ipAddress": random.choice(["203.0.113.7", "198.51.100.9"]),
        "outcome": random.choice(["failure"] * 8 + ["success", "logout"]),
        "timestamp": shop.clock.moment - timedelta(seconds=ago),
    }


@pytest.mark.parametrize("seed", range(4))
def test_a_look_by_its_mark_plans_what_a_look_at_everything_plans(
    shop: Scenario, seed: int
) -> None:
    random = Random(seed)
    planned = by_mark = 0
    for _ in range(LOOKS):
        shop.clock.moment += timedelta(seconds=random.choice([5, 5, 5, 20, 90]))
        arrived = random.choice([0, 0, 0, 1, 4, 6])
        if arrived:
            shop.shop.loginevents.insert_many([event(random, shop) for _ in range(arrived)])
        if random.random() < 0.1:
            shop.shop.loginevents.delete_one({"outcome": "failure"})
        anew = planned_anew(shop)
        by_mark += goes_by_its_mark(shop)
        items = plan(shop)
        assert [item.key for item in items] == [item.key for item in anew]
        planned += len(items)
        for item in items:
            if random.random() < 0.7:  # a run that was cancelled leaves some for the next look
                acting.perform(context(shop), POLICY, item)
    assert planned > 0
    assert by_mark > 0


def test_whatever_happens_the_mark_stands_no_more(shop: Scenario) -> None:
    random = Random(0)
    assert plan(shop) == []
    shop.clock.moment += timedelta(seconds=5)
    assert goes_by_its_mark(shop)
    late = {**event(random, shop), "timestamp": NOW - timedelta(minutes=9)}
    shop.shop.loginevents.insert_one(late)
    assert not goes_by_its_mark(shop)
    assert plan(shop) == []
    assert goes_by_its_mark(shop)
    shop.shop.loginevents.delete_one({"_id": late["_id"]})
    shop.shop.loginevents.insert_one({**late, "timestamp": NOW - timedelta(minutes=8)})
    assert not goes_by_its_mark(shop)
    assert plan(shop) == []
    with shop.engine.database.transaction() as session:
        said = {"kind": "user", "subject": b"", "by": "ann", "reason": "a test"}
        session.add(LockoutPardon(at=NOW, until=NOW, **said))
    assert not goes_by_its_mark(shop)


def test_an_event_from_the_future_is_met_when_its_time_has_come(shop: Scenario) -> None:
    soon = NOW + OPTIONS.skew.delta + timedelta(seconds=3)
    failure = {"userId": "ann", "ipAddress": "203.0.113.7", "outcome": "failure"}
    shop.shop.loginevents.insert_many([{**failure, "timestamp": soon} for _ in range(5)])
    assert plan(shop) == []
    assert goes_by_its_mark(shop)
    shop.clock.moment += timedelta(seconds=5)
    assert not goes_by_its_mark(shop)
    assert [item.fields["kind"] for item in plan(shop)] == ["lock", "block"]


def test_a_mark_is_believed_for_a_minute_and_under_the_same_policy(shop: Scenario) -> None:
    assert plan(shop) == []
    end = shop.clock.moment + OPTIONS.skew.delta
    other = POLICY.model_copy(update={"description": "Another text."})
    assert not marks.stands(context(shop), other, OPTIONS, end)
    shop.clock.moment += timedelta(seconds=61)
    assert not goes_by_its_mark(shop)
