"""Random data through plan, apply and undo, against an oracle in plain Python."""

import math
from datetime import datetime
from typing import Any

import pytest
from bson import Int64, ObjectId, decode
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from jobs.base import Delete
from jobs.retention_purge import RetentionPurge
from tests.examples import examples
from tests.worker.scenario import NOW, Scenario, negative_values, old, purge, sessions
from worker.planner import payload_name
from worker.tables import Run

pytestmark = pytest.mark.sqlite_control

RARE = settings(
    max_examples=examples(25),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
moments = st.one_of(
    st.integers(-4000, 4000).map(lambda hours: old(2555 + hours / 24)),
    st.sampled_from([old(2555), None, "2015-01-01", 20150101]),
    st.just([old(4000)]),
)
numbers = st.one_of(
    st.integers(-5, 5),
    st.integers(-(2**40), 2**40).map(Int64),
    st.floats(-5, 5),
    st.sampled_from([math.nan, -math.inf, -0.0, True, None, "-3", [-1], {"a": -1}]),
)


def is_negative(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value < 0


@RARE
@given(st.lists(moments, max_size=40))
def test_a_purge_removes_exactly_the_old_dates_and_comes_back(
    scenario: Scenario, dates: list[Any]
) -> None:
    collection = scenario.shop.salesData
    collection.delete_many({})
    collection.insert_many(
        [{"_id": number, "createdAt": date} for number, date in enumerate([*dates, NOW])]
    )
    before = scenario.contents("salesData")
    due = {
        number
        for number, date in enumerate(dates)
        if isinstance(date, datetime) and date < old(2555)
    }
    run = scenario.run_through(purge(chunk=7, batch={"records": 3}))
    assert set(before) - set(scenario.contents("salesData")) == due
    assert run.planned == len(due)
    if due:
        scenario.undo(run)
        assert scenario.contents("salesData") == before


@RARE
@given(st.lists(st.tuples(numbers, numbers, st.sampled_from(["sale", "return"])), max_size=30))
def test_only_negative_numbers_of_no_return_become_zero(
    scenario: Scenario, rows: list[tuple[Any, Any, str]]
) -> None:
    collection = scenario.shop.salesData
    collection.delete_many({})
    records = [
        {"_id": number, "quantity": quantity, "revenue": revenue, "type": kind}
        for number, (quantity, revenue, kind) in enumerate(rows)
    ]
    collection.insert_many([*records, {"_id": "an untouched one"}])
    before = scenario.contents("salesData")
    run = scenario.run_through(negative_values(chunk=7, batch={"records": 3}))
    after = {record["_id"]: record for record in collection.find()}
    for record in records:
        for name in ("quantity", "revenue"):
            mended = record["type"] != "return" and is_negative(record[name])
            found = after[record["_id"]][name]
            assert found == 0 if mended else repr(found) == repr(record[name])
    if run.planned:
        scenario.undo(run)
    assert scenario.contents("salesData") == before


@RARE
@given(st.lists(st.tuples(st.sampled_from([True, False, None]), st.integers(-3, 3)), max_size=30))
def test_only_sessions_that_are_expired_or_inactive_go(
    scenario: Scenario, rows: list[tuple[bool | None, int]]
) -> None:
    collection = scenario.shop.sessions
    collection.delete_many({})
    collection.insert_many(
        [
            {"_id": number, "isActive": active, "expiresAt": old(-days)}
            for number, (active, days) in enumerate([*rows, (True, 9)])
        ]
    )
    due = {number for number, (active, days) in enumerate(rows) if active is False or days < 0}
    scenario.run_through(sessions(chunk=7, batch={"records": 3}))
    assert {record["_id"] for record in collection.find()} == set(range(len(rows) + 1)) - due


@RARE
@given(
    st.lists(st.tuples(st.booleans(), moments), max_size=30),
    st.sampled_from([7, 20_000]),
    st.none() | st.integers(1, 30),
)
def test_a_plan_that_treats_all_alike_is_the_one_that_asks_of_each_record(
    scenario: Scenario, rows: list[tuple[bool, Any]], chunk: int, limit: int | None
) -> None:
    collection = scenario.shop.salesData
    collection.delete_many({})
    keys = [ObjectId() if is_id else {"number": number} for number, (is_id, _) in enumerate(rows)]
    collection.insert_many(
        [{"_id": key, "createdAt": date} for key, (_, date) in zip(keys, rows, strict=True)]
        + [{"_id": "young", "createdAt": NOW}]
    )
    policy = purge(chunk=chunk)
    alike = scenario.plan(policy, limit=limit)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(RetentionPurge, "always", None)
        patch.setattr(RetentionPurge, "change", lambda *_: Delete())
        asked = scenario.plan(policy, limit=limit)
    assert what_it_says(alike) == what_it_says(asked)
    assert keys_in(scenario, alike) == keys_in(scenario, asked)


def what_it_says(run: Run) -> Any:
    assert run.preview is not None
    said = {name: said for name, said in run.preview.items() if name != "seconds"}
    return run.digest, run.planned, run.population, run.cutoff, said


def keys_in(scenario: Scenario, run: Run) -> list[list[Any]]:
    key = scenario.engine.keyring.unwrap(run.key or b"")
    plain = [
        key.open(chunk.payload or b"", payload_name(run, chunk.number))
        for chunk in scenario.chunks(run.id)
    ]
    return [decode(each)["keys"] for each in plain]
