"""Records that no application should write, and some do: handled, and put back to the byte."""

import math
from datetime import UTC, datetime
from typing import Any

import pytest
from bson import DBRef, Decimal128, Int64, ObjectId, Regex, Timestamp
from bson.datetime_ms import DatetimeMS

from tests.worker.scenario import RAW, Scenario, negative_values, old, policy_text, purge
from worker.registry import frozen_policy

pytestmark = pytest.mark.sqlite_control

MEBIBYTE = 1024 * 1024
YEAR = 365 * 86_400_000
OLD = {
    "a date": old(3000),
    "before 1970": datetime(1960, 5, 1, tzinfo=UTC),
    "the first millisecond before 1970": DatetimeMS(-1),
    "before the year 1": DatetimeMS(-3000 * YEAR),
    "the earliest that there is": DatetimeMS(-(2**63)),
}
NOT_OLD = {
    "young": old(1),
    "after the year 9999": DatetimeMS(9000 * YEAR),
    "the latest that there is": DatetimeMS(2**63 - 1),
    "text": "1999-01-01",
    "a number": 915148800,
    "a decimal": Decimal128("1"),
    "not a number": math.nan,
    "null": None,
    "a list of old dates": [old(3000), old(4000)],
    "a document": {"date": old(3000)},
    "a timestamp": Timestamp(1, 1),
    "an id": ObjectId("0" * 24),
    "a pattern": Regex("1999"),
    "a reference": DBRef("other", 1),
    "false": False,
}


def images(scenario: Scenario) -> list[bytes]:
    """Every record to the byte, whatever its key."""
    raw = scenario.shop.with_options(codec_options=RAW).salesData
    return sorted(bytes(record.raw) for record in raw.find())


def test_only_dates_are_old_whatever_else_the_field_holds(scenario: Scenario) -> None:
    aged = [{"_id": name, "createdAt": value} for name, value in OLD.items()]
    kept = [{"_id": name, "createdAt": value} for name, value in NOT_OLD.items()]
    scenario.shop.salesData.insert_many([*aged, *kept, {"_id": "without the field"}])
    before = scenario.contents("salesData")
    run = scenario.run_through(purge())
    assert run.state == "succeeded"
    assert set(scenario.contents("salesData")) == {*NOT_OLD, "without the field"}
    assert run.preview is not None
    assert run.preview["oldest"] == "1960-05-01T00:00:00+00:00"
    assert scenario.undo(run).state == "undone"
    assert scenario.contents("salesData") == before


@pytest.mark.parametrize(
    "key",
    [
        Decimal128("NaN"),
        math.nan,
        math.inf,
        None,
        True,
        "",
        b"\x00",
        {"a": {"b": 1}},
        {"b": 1, "a": 2},
        Int64(2**62),
        DatetimeMS(-(2**60)),
        Timestamp(7, 7),
    ],
    ids=repr,
)
def test_whatever_the_key_is_the_record_is_found_again(scenario: Scenario, key: Any) -> None:
    scenario.shop.salesData.insert_many(
        [{"_id": key, "createdAt": old(3000)}, {"_id": "other", "createdAt": old(1)}]
    )
    before = images(scenario)
    run = scenario.run_through(purge())
    assert (run.state, run.planned) == ("succeeded", 1)
    assert scenario.shop.salesData.distinct("_id") == ["other"]
    assert scenario.undo(run).state == "undone"
    assert images(scenario) == before


def test_keys_that_are_equal_as_numbers_are_one_and_other_keys_are_not(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [{"_id": key, "createdAt": old(3000)} for key in (1, "1", True, {"": 1}, 1.5)]
    )
    run = scenario.run_through(purge())
    assert (run.state, run.planned) == ("succeeded", 5)
    assert scenario.shop.salesData.count_documents({}) == 0


def test_sums_leave_out_what_is_no_finite_number(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [
            {"quantity": -2, "revenue": Decimal128("-1.5")},
            {"quantity": -math.inf, "revenue": Decimal128("-Infinity")},
            {"quantity": Decimal128("-1E+6000"), "revenue": Decimal128("-0.01")},
        ]
    )
    run = scenario.plan(negative_values())
    assert run.state == "planned"
    assert run.preview is not None
    assert run.preview["sums"]["revenue"] == {"before": "-1.51", "after": "0"}


def test_a_signalling_nan_is_planned_and_mended(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many([{"quantity": Decimal128("sNaN")} for _ in range(2)])
    before = scenario.contents("salesData")
    repair = {"field": "quantity", "when": "not_a_number", "set": 0}
    options = {"collection": "salesData", "repairs": [repair]}
    run = scenario.run_through(frozen_policy(policy_text(job="value_repair", options=options)))
    assert run.state == "succeeded"
    assert scenario.shop.salesData.distinct("quantity") == [0]
    assert scenario.undo(run).state == "undone"
    assert scenario.contents("salesData") == before


def test_documents_of_15_megabytes_go_one_to_a_batch(scenario: Scenario) -> None:
    filling = "x" * (15 * MEBIBYTE)
    for number in range(3):
        scenario.shop.salesData.insert_one(
            {"_id": number, "createdAt": old(3000), "filling": filling}
        )
    before = scenario.contents("salesData")
    run = scenario.run_through(purge(batch={"records": 10, "bytes": 16_000_000}))
    assert run.state == "succeeded"
    (chunk,) = scenario.chunks(run.id)
    assert [archive["changed"] for archive in chunk.archives] == [1, 1, 1]
    assert scenario.shop.salesData.count_documents({}) == 0
    assert scenario.undo(run).state == "undone"
    assert scenario.contents("salesData") == before
