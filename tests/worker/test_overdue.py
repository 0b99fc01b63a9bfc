"""What is overdue is what a plan of this moment would hold, as far as it was counted."""

import time
from datetime import datetime
from typing import Any

import pytest
from sqlalchemy import text

from policies.models import Policy
from tests.worker.scenario import NOW, Scenario, negative_values, old, purge, sessions
from worker.errors import CollectionMissing, DeadlineExceeded, IndexMissing
from worker.overdue import Overdue, Source, overdue
from worker.targets.deadline import seconds_left, within
from worker.targets.sql_server import SqlServer


def count(scenario: Scenario, policy: Policy, enough: int = 1000, seconds: float = 10.0) -> Overdue:
    target = scenario.engine.targets["mongo"]
    return overdue(Source(target, policy, NOW), seconds, enough)


def sales(scenario: Scenario, *ages: float, **more: Any) -> None:
    scenario.shop.salesData.insert_many([{"createdAt": old(age), **more} for age in ages])


def test_what_a_plan_would_hold_is_counted_with_its_oldest_date(scenario: Scenario) -> None:
    sales(scenario, 2554, 2556, 4000, 3000)
    counted = count(scenario, purge())
    assert counted == Overdue(3, at_least=False, oldest=old(4000))
    assert scenario.plan(purge()).planned == counted.count


def test_counting_stops_when_it_has_enough(scenario: Scenario) -> None:
    sales(scenario, *range(2600, 2650))
    assert count(scenario, purge(), enough=50) == Overdue(50, at_least=False, oldest=old(2649))
    counted = count(scenario, purge(), enough=49)
    assert (counted.count, counted.at_least) == (49, True)


def test_nothing_overdue_has_no_oldest(scenario: Scenario) -> None:
    sales(scenario, 1)
    assert count(scenario, purge()) == Overdue(0, at_least=False, oldest=None)


def test_a_count_that_may_take_no_time_says_at_least(scenario: Scenario) -> None:
    sales(scenario, 3000)
    assert count(scenario, purge(), seconds=0.0) == Overdue(0, at_least=True, oldest=None)


def test_a_record_whose_date_is_none_has_no_age(scenario: Scenario) -> None:
    scenario.shop.sessions.insert_many(
        [{"isActive": False, "expiresAt": "soon"}, {"isActive": False, "expiresAt": old(2)}]
    )
    assert count(scenario, sessions()) == Overdue(2, at_least=False, oldest=old(2))


def test_without_a_date_in_the_policy_the_object_id_tells_the_age(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_one({"quantity": -1})
    found = scenario.shop.salesData.find_one()
    assert found is not None
    oldest = count(scenario, negative_values()).oldest
    assert oldest == found["_id"].generation_time
    assert isinstance(oldest, datetime)


def test_a_collection_is_never_read_whole_for_a_count(scenario: Scenario) -> None:
    scenario.shop.salesData.drop_index("createdAt_1")
    sales(scenario, 3000)
    with pytest.raises(IndexMissing):
        count(scenario, purge())
    scenario.shop.salesData.drop()
    with pytest.raises(CollectionMissing):
        count(scenario, purge())


def test_a_deadline_around_another_holds_if_it_is_shorter() -> None:
    assert seconds_left(5) == 5
    with within(0.5), within(60):
        assert seconds_left(100) <= 0.5
        with within(0):
            assert seconds_left(100) == 0
    assert seconds_left(100) == 100


def test_a_question_to_postgresql_ends_at_the_deadline_around_it(postgres_url: str) -> None:
    server = SqlServer(postgres_url)
    began = time.monotonic()
    with (
        pytest.raises(DeadlineExceeded),
        within(0.3),
        server.reading("here", 60, primary=False) as transaction,
    ):
        transaction.execute(text("SELECT pg_sleep(280)"))
    assert time.monotonic() - began < 140
    server.close()
