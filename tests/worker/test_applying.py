"""Applying a plan: what was planned is changed exactly once, and everything else is counted."""

from typing import Any

import pytest
from bson.datetime_ms import DatetimeMS

from jobs.base import Change, Record
from jobs.retention_purge import RetentionPurge
from policies.models import Policy
from tests.worker.scenario import NOW, Scenario, negative_values, old, purge, sessions, text_dates
from worker import advance, planner
from worker.claims import totals
from worker.tables import OUTCOMES, Run
from worker.targets import mongo


def sales(count: int, days: float) -> list[dict[str, Any]]:
    return [{"createdAt": old(days), "quantity": 1, "revenue": 2.5} for _ in range(count)]


def left(run: Run) -> tuple[int, int, int, int]:
    """What remains: in all, failed, changed since, never planned."""
    remaining = run.remaining
    assert remaining is not None
    assert remaining["at_least"] is False
    total, failed, since = remaining["total"], remaining["failed"], remaining["changed_since"]
    return total, failed, since, remaining["not_planned"]


def outcomes(scenario: Scenario, run_id: int) -> dict[str, int]:
    with scenario.engine.database.transaction() as session:
        counts = totals(session, run_id).counts
    return {name: count for name, count in zip(OUTCOMES, counts, strict=True) if count}


def test_a_purge_removes_what_is_old_and_nothing_else(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(sales(60, 3000) + sales(40, 10))
    run = scenario.run_through(purge())
    assert run.state == "succeeded"
    assert (run.planned, run.population) == (60, 100)
    assert outcomes(scenario, run.id) == {"changed": 60}
    assert scenario.shop.salesData.count_documents({}) == 40
    assert scenario.shop.salesData.count_documents({"createdAt": {"$lt": run.cutoff}}) == 0
    assert left(run) == (0, 0, 0, 0)


def test_a_session_extended_after_the_plan_survives(scenario: Scenario) -> None:
    scenario.shop.sessions.insert_many(
        [{"_id": number, "isActive": True, "expiresAt": old(1)} for number in range(30)]
    )
    plan = scenario.plan(sessions())
    scenario.shop.sessions.update_one({"_id": 7}, {"$set": {"expiresAt": old(-7)}})
    scenario.shop.sessions.delete_one({"_id": 9})
    run = scenario.apply(plan)
    assert outcomes(scenario, run.id) == {"changed": 28, "changed_since": 1, "gone": 1}
    assert [record["_id"] for record in scenario.shop.sessions.find()] == [7]


def test_text_that_is_no_date_is_left_counted_and_explained(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [{"date": "2021-03-04"}, {"date": "yesterday"}, {"date": NOW}, {"date": "31/31/2020"}]
    )
    run = scenario.run_through(text_dates())
    assert outcomes(scenario, run.id) == {"changed": 1, "failed": 2}
    assert left(run) == (2, 2, 0, 0)
    assert run.state == "succeeded"
    texts = {record["date"] for record in scenario.shop.salesData.find({"date": {"$type": 2}})}
    assert texts == {"yesterday", "31/31/2020"}


def test_a_list_of_numbers_is_not_a_negative_value(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [
            {"_id": "list", "quantity": [-1, 5]},
            {"_id": "nan", "quantity": float("nan")},
            {"_id": "text", "quantity": "-3"},
            {"_id": "return", "quantity": -2, "type": "return"},
            {"_id": "negative", "quantity": -4, "revenue": 8.5},
        ]
    )
    run = scenario.run_through(negative_values())
    assert outcomes(scenario, run.id) == {"changed": 1}
    assert scenario.shop.salesData.find_one({"_id": "negative"}) == {
        "_id": "negative",
        "quantity": 0,
        "revenue": 8.5,
    }


def test_a_plan_of_nothing_succeeds(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(sales(3, 1))
    run = scenario.run_through(purge())
    assert (run.state, run.planned) == ("succeeded", 0)


def test_applying_a_second_time_changes_nothing(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(sales(30, 3000) + sales(5, 1))
    scenario.run_through(purge())
    before = scenario.contents("salesData")
    again = scenario.run_through(purge())
    assert (again.state, again.planned) == ("succeeded", 0)
    assert scenario.contents("salesData") == before


def test_a_limit_only_narrows(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(sales(60, 3000))
    run = scenario.run_through(purge(), limit=12)
    assert outcomes(scenario, run.id) == {"changed": 12}
    assert left(run) == (48, 0, 0, 48)


def test_a_batch_is_bounded_by_bytes(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [{"createdAt": old(3000), "text": "x" * 50_000} for _ in range(20)]
    )
    run = scenario.run_through(purge(batch={"records": 10, "bytes": 120_000}))
    assert outcomes(scenario, run.id) == {"changed": 20}
    sizes = [archive["changed"] for chunk in scenario.chunks(run.id) for archive in chunk.archives]
    assert max(sizes) == 2


def test_one_record_larger_than_the_bound_is_a_batch_of_its_own(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_one({"createdAt": old(3000), "text": "x" * 15_000_000})
    run = scenario.run_through(purge(batch={"records": 10, "bytes": 1_000}))
    assert outcomes(scenario, run.id) == {"changed": 1}


@pytest.mark.parametrize("key", [7, 7.5, "seven", {"a": 1, "b": [1]}, None, True, NOW])
def test_keys_of_any_type_are_planned_and_changed(scenario: Scenario, key: Any) -> None:
    scenario.shop.salesData.insert_one({"_id": key, "createdAt": old(3000)})
    run = scenario.run_through(purge())
    assert outcomes(scenario, run.id) == {"changed": 1}
    assert scenario.undo(run).state == "undone"
    assert scenario.shop.salesData.find_one({}, {"_id": 1}) == {"_id": key}


def test_a_date_that_python_cannot_hold_is_purged_and_restored_to_the_byte(
    scenario: Scenario,
) -> None:
    year_minus_2000 = DatetimeMS(-125_000_000_000_000)
    scenario.shop.salesData.insert_one({"_id": 1, "createdAt": year_minus_2000, "x": 1})
    before = scenario.contents("salesData")
    run = scenario.run_through(purge())
    assert scenario.contents("salesData") == {}
    scenario.undo(run)
    assert scenario.contents("salesData") == before


def test_a_job_that_raises_leaves_the_finished_chunks_and_can_be_resumed(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.shop.salesData.insert_many(
        [{"_id": number, "createdAt": old(3000)} for number in range(60)]
    )
    plan = scenario.plan(purge())
    original = RetentionPurge.change

    def breaks(self: RetentionPurge, policy: Policy, record: Record) -> Change:
        if record["_id"] == 38:
            raise ZeroDivisionError("a value such as bob@example.org must not be recorded")
        return original(self, policy, record)

    monkeypatch.setattr(RetentionPurge, "change", breaks)
    run = scenario.apply(plan)
    assert run.state == "failed"
    assert run.error is not None
    assert "ZeroDivisionError" in run.error
    assert "bob" not in run.error
    states = [chunk.state for chunk in scenario.chunks(run.id)]
    assert states.count("done") >= 1
    assert states.count("failed") == 1
    assert scenario.shop.salesData.count_documents({}) == 60 - outcomes(scenario, run.id)["changed"]
    monkeypatch.setattr(RetentionPurge, "change", original)
    resumed = scenario.resume(run)
    assert resumed.state == "succeeded"
    assert outcomes(scenario, run.id) == {"changed": 60}


def test_a_plan_made_by_a_scan_is_not_applied_without_the_index(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(sales(30, 3000))
    scenario.shop.salesData.drop_index("createdAt_1")
    run_id = scenario.request(purge(), apply=False)
    assert advance.plan(scenario.engine, run_id, scan=True)
    run = scenario.apply(scenario.run(run_id))
    assert run.state == "failed"
    assert "createIndex" in (run.error or "")
    assert scenario.shop.salesData.count_documents({}) == 30
    scenario.shop.salesData.create_index("createdAt")
    assert scenario.resume(run).state == "succeeded"


def test_a_collection_renamed_in_the_middle_fails_the_run_and_is_left_alone(
    scenario: Scenario,
) -> None:
    scenario.shop.salesData.insert_many(sales(30, 3000))
    plan = scenario.plan(purge())
    scenario.shop.salesData.rename("salesArchive")
    run = scenario.apply(plan)
    assert run.state == "failed"
    assert "does not exist" in (run.error or "")
    assert scenario.shop.salesArchive.count_documents({}) == 30


@pytest.mark.parametrize("books", [330, 999, 3])
def test_a_large_population_is_counted_as_far_as_the_guard_needs(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, books: int
) -> None:
    """The target's own books may be wrong after a crash; the guard does not believe them."""
    scenario.shop.salesData.insert_many(sales(30, 3000) + sales(300, 1))
    monkeypatch.setattr(planner, "COUNTED", 2)
    monkeypatch.setattr(mongo.MongoTarget, "population_now", lambda *_: books)
    plan = scenario.plan(purge(guards={"max_records": 30, "max_percent": 20}))
    assert plan.state == "planned"
    assert plan.population == max(books, 151)
    assert (plan.preview or {})["population_is_exact"] is False
    refused = scenario.plan(purge(guards={"max_records": 30, "max_percent": 5}))
    assert (refused.state, refused.population) == ("refused", 330)
    assert (refused.preview or {})["population_is_exact"] is True


def test_what_takes_too_long_to_count_is_counted_as_far_as_the_guard_needs(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    scenario.shop.salesData.insert_many(sales(30, 3000) + sales(300, 1))
    monkeypatch.setattr(mongo, "POPULATION_SECONDS", 1e-6)
    plan = scenario.plan(purge(guards={"max_records": 30, "max_percent": 20}))
    assert (plan.state, plan.population) == ("planned", 330)
    assert (plan.preview or {})["population_is_exact"] is False
