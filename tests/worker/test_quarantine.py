"""A policy that moves records aside, from its plan to the end of its quarantine."""

import json
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId, encode

from policies.models import Policy
from tests.worker.scenario import NOW, Scenario, policy_text
from worker.errors import CollectionMissing
from worker.registry import frozen_policy

pytestmark = pytest.mark.sqlite_control

MEBIBYTE = 1024 * 1024


def odd_values(**parts: Any) -> Policy:
    repairs = [
        {"field": "quantity", "when": "not_a_number", "quarantine": "30d"},
        {"field": "revenue", "when": {"above": 1_000_000}, "quarantine": "90d"},
        {"field": "quantity", "when": "negative", "set": 0},
    ]
    options = {"collection": "salesData", "repairs": repairs}
    return frozen_policy(policy_text(job="value_repair", options=options, **parts))


def purge_of_quarantine() -> Policy:
    options = {
        "collection": "salesData_quarantine",
        "select": {"older_than": {"field": "until", "age": "0s"}},
    }
    return frozen_policy(policy_text(name="emptied", job="retention_purge", options=options))


def fill(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [
            {"_id": 1, "quantity": "two", "revenue": 1.0},
            {"_id": 2, "quantity": "three", "revenue": 2e6},
            {"_id": 3, "quantity": -1, "revenue": 3e6},
            {"_id": 4, "quantity": -1, "revenue": 1.0},
            {"_id": 5, "quantity": 1, "revenue": 1e6},
        ]
    )


def quarantined(scenario: Scenario) -> dict[Any, dict[str, Any]]:
    return {each["key"]: each for each in scenario.shop.salesData_quarantine.find()}


def test_a_plan_says_how_many_are_moved_and_why(scenario: Scenario) -> None:
    fill(scenario)
    run = scenario.plan(odd_values())
    assert run.preview is not None
    assert run.preview["will_quarantine"] == {
        "quantity:not_a_number": 1,
        "quantity:not_a_number, revenue:above": 1,
        "revenue:above": 1,
    }
    key = scenario.engine.keyring.unwrap(run.key or b"")
    sample = json.loads(key.open(run.sample or b"", f"{run.token}/sample"))
    assert sum("quarantined" in example for example in sample) == 3
    assert "salesData_quarantine" not in scenario.shop.list_collection_names()


def test_records_are_moved_with_policy_run_codes_and_times(scenario: Scenario) -> None:
    fill(scenario)
    run = scenario.run_through(odd_values())
    assert run.state == "succeeded"
    assert set(scenario.shop.salesData.distinct("_id")) == {4, 5}
    assert scenario.shop.salesData.find_one({"_id": 4}) == {"_id": 4, "quantity": 0, "revenue": 1.0}
    copies = quarantined(scenario)
    assert copies[3]["record"] == {"_id": 3, "quantity": -1, "revenue": 3e6}
    assert {copy["run"] for copy in copies.values()} == {f"r-{run.id}"}
    assert {copy["policy"] for copy in copies.values()} == {"under-test"}
    kept = {key: copy["until"] - copy["at"] for key, copy in copies.items()}
    assert kept == {1: timedelta(days=30), 2: timedelta(days=90), 3: timedelta(days=90)}


def test_undo_moves_them_home_to_the_byte(scenario: Scenario) -> None:
    fill(scenario)
    before = scenario.contents("salesData")
    run = scenario.run_through(odd_values())
    assert scenario.undo(run).state == "undone"
    assert scenario.contents("salesData") == before
    assert quarantined(scenario) == {}


def test_a_copy_whose_time_is_over_is_purged_and_its_undo_is_a_conflict(scenario: Scenario) -> None:
    fill(scenario)
    run = scenario.run_through(odd_values())
    scenario.clock.moment = NOW + timedelta(days=31)
    purge = scenario.run_through(purge_of_quarantine())
    assert (purge.state, purge.planned) == ("succeeded", 1)
    assert set(quarantined(scenario)) == {2, 3}
    undone = scenario.undo(run)
    (chunk,) = scenario.chunks(undone.id, "undo")
    assert (chunk.changed, chunk.changed_since) == (3, 1)
    assert set(scenario.shop.salesData.distinct("_id")) == {2, 3, 4, 5}


def test_a_quarantine_that_nothing_was_moved_to_is_an_empty_one(scenario: Scenario) -> None:
    run = scenario.run_through(purge_of_quarantine())
    assert (run.state, run.planned, run.population) == ("succeeded", 0, 0)


def test_a_quarantine_of_nothing_does_not_exist(scenario: Scenario) -> None:
    options = {
        "collection": "salesdata_quarantine",
        "select": {"older_than": {"field": "until", "age": "0s"}},
    }
    policy = frozen_policy(policy_text(job="retention_purge", options=options))
    with pytest.raises(CollectionMissing, match="salesdata_quarantine does not exist"):
        scenario.run_through(policy)


def test_a_record_that_is_too_large_with_its_reason_stays_and_is_listed(scenario: Scenario) -> None:
    largest = {"_id": ObjectId(), "quantity": "two", "filling": ""}
    room = 16 * MEBIBYTE - len(encode(largest))
    scenario.shop.salesData.insert_one({**largest, "filling": "x" * room})
    scenario.shop.salesData.insert_one({"_id": 2, "quantity": "t", "filling": "x" * (room - 1000)})
    before = scenario.contents("salesData")
    run = scenario.run_through(odd_values())
    assert run.state == "succeeded"
    (chunk,) = scenario.chunks(run.id)
    assert (chunk.changed, chunk.failed) == (1, 1)
    assert list(quarantined(scenario)) == [2]
    assert scenario.undo(run).state == "undone"
    assert scenario.contents("salesData") == before


def test_a_record_mended_by_its_owner_after_the_plan_stays(scenario: Scenario) -> None:
    fill(scenario)
    plan = scenario.plan(odd_values())
    scenario.shop.salesData.update_one({"_id": 1}, {"$set": {"quantity": 2}})
    assert scenario.apply(plan).state == "succeeded"
    assert set(quarantined(scenario)) == {2, 3}
    assert scenario.shop.salesData.count_documents({"_id": 1, "quantity": 2}) == 1


@pytest.mark.parametrize(
    ("repair", "record", "becomes"),
    [
        (
            {"field": "a.b.c", "when": "missing", "set": 5},
            {"x": 1},
            {"x": 1, "a": {"b": {"c": 5}}},
        ),
        ({"field": "a.b", "when": "missing", "set": "n"}, {"a": None}, {"a": {"b": "n"}}),
        ({"field": "a.b", "when": "missing", "set": True}, {"a": {}}, {"a": {"b": True}}),
        ({"field": "a", "when": "zero", "unset": True}, {"a": 0, "x": 1}, {"x": 1}),
        ({"field": "a.b", "when": "zero", "unset": True}, {"a": {"b": 0, "c": 1}}, {"a": {"c": 1}}),
        ({"field": "a", "when": {"above": 5}, "set": 5}, {"a": 6, "x": 1}, {"a": 5, "x": 1}),
    ],
)
def test_what_was_set_or_unset_comes_back_to_the_byte(
    scenario: Scenario, repair: dict[str, Any], record: dict[str, Any], becomes: dict[str, Any]
) -> None:
    scenario.shop.salesData.create_index(repair["field"])
    scenario.shop.salesData.insert_one({"_id": 1, **record})
    before = scenario.contents("salesData")
    options = {"collection": "salesData", "repairs": [repair]}
    run = scenario.run_through(frozen_policy(policy_text(job="value_repair", options=options)))
    assert scenario.shop.salesData.find_one() == {"_id": 1, **becomes}
    assert scenario.undo(run).state == "undone"
    assert scenario.contents("salesData") == before


def test_a_field_that_was_unset_comes_back_beside_what_was_edited_since(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [{"_id": 1, "quantity": 0, "note": "a"}, {"_id": 2, "quantity": 0, "note": "b"}]
    )
    repair = {"field": "quantity", "when": "zero", "unset": True}
    options = {"collection": "salesData", "repairs": [repair]}
    run = scenario.run_through(frozen_policy(policy_text(job="value_repair", options=options)))
    scenario.shop.salesData.update_one({"_id": 1}, {"$set": {"note": "edited"}})
    scenario.shop.salesData.update_one({"_id": 2}, {"$set": {"quantity": 7}})
    undone = scenario.undo(run)
    (chunk,) = scenario.chunks(undone.id, "undo")
    assert (chunk.changed, chunk.changed_since) == (1, 1)
    assert list(scenario.shop.salesData.find()) == [
        {"_id": 1, "note": "edited", "quantity": 0},
        {"_id": 2, "note": "b", "quantity": 7},
    ]
