"""Random accounts through plan, apply and undo, against an oracle in plain Python."""

from datetime import datetime
from typing import Any

import pytest
from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from policies.models import Batch
from tests.examples import examples
from tests.mongo_databases import Indexes
from tests.worker import accounts
from tests.worker.accounts import COLLECTIONS, INDEXES, cascade, everything
from tests.worker.scenario import NOW, Scenario, old

pytestmark = pytest.mark.sqlite_control

CUTOFF = NOW.replace(year=NOW.year - 2)
OLDEST = [old(901)]
"""A list is no date; its dates count while another record has a newer one."""
RARE = settings(
    max_examples=examples(20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
dates = st.one_of(
    st.integers(-300, 300).map(lambda hours: old(731 + hours / 24)),
    st.sampled_from([CUTOFF, None]),
    st.sampled_from(["2026-01-01", 20260101, OLDEST]),
)
seldom_odd = st.one_of(st.integers(740, 900).map(old), st.integers(740, 900).map(old), dates)
owned = st.lists(st.tuples(st.sampled_from(sorted(INDEXES)), seldom_odd, st.booleans()), max_size=9)
people = st.lists(
    st.tuples(st.sampled_from(["text", "objectid"]), seldom_odd, dates, owned), max_size=7
)


def goes(key: Any, user: dict[str, Any], records: list[dict[str, Any]]) -> bool:
    """Each sign is a date before the cutoff; without any, the creation is."""
    signs = [
        value for value in (user.get("lastLogin"), *newest_dates(key, records)) if value is not None
    ]
    if not signs:
        created = user.get("createdAt")
        if created is None:
            created = key.generation_time if isinstance(key, ObjectId) else NOW
        signs = [created]
    return all(isinstance(value, datetime) and value < CUTOFF for value in signs)


def newest_dates(key: Any, records: list[dict[str, Any]]) -> list[Any]:
    """What the records say, without a list that is older than another of their collection.

    An ObjectId has two spellings, and each is asked for its newest record.
    """
    groups: dict[tuple[str, bool], list[Any]] = {}
    for record in records:
        spelling = isinstance(key, ObjectId) and record["as_text"]
        groups.setdefault((record["collection"], spelling), []).append(record["date"])
    return [
        value
        for dates in groups.values()
        for value in dates
        if value != OLDEST or not any(isinstance(one, datetime) for one in dates)
    ]


def put(scenario: Scenario, key: Any, user: dict[str, Any], records: list[dict[str, Any]]) -> None:
    present = {name: value for name, value in user.items() if value is not None}
    scenario.shop.users.insert_one({"_id": key, **present})
    for record in records:
        owner = str(key) if record["as_text"] else key
        outer, _, inner = INDEXES[record["collection"]][1].partition(".")
        dated = {inner: record["date"]} if inner else record["date"]
        scenario.shop[record["collection"]].insert_one({"userId": owner, outer: dated})


@pytest.fixture
def mongo_indexes() -> Indexes:
    return accounts.PREPARED


@RARE
@given(people)
def test_exactly_the_inactive_accounts_go_with_all_that_is_theirs_and_come_back(
    scenario: Scenario, drawn: list[Any]
) -> None:
    for name in COLLECTIONS:
        scenario.shop[name].delete_many({})
    scenario.shop.users.insert_one({"_id": "alive", "lastLogin": NOW})
    expected = set()
    for number, (kind, login, created, rows) in enumerate(drawn):
        aged = ObjectId.from_datetime(old(900 - 60 * number))
        key = aged if kind == "objectid" else f"user {number}"
        user = {"lastLogin": login, "createdAt": created}
        records = [
            {"collection": collection, "date": date, "as_text": as_text}
            for collection, date, as_text in rows
        ]
        put(scenario, key, user, records)
        if goes(key, user, records):
            expected.add(key)
    before = everything(scenario)
    theirs = {str(key) for key in expected}
    keeps = {
        name: {
            record["_id"]
            for record in scenario.shop[name].find()
            if str(record["_id"] if name == "users" else record["userId"]) not in theirs
        }
        for name in COLLECTIONS
    }
    run = scenario.run_through(cascade(batch=Batch(records=4), chunk=3))
    assert run.state == "succeeded", run.error
    assert {name: set(images) for name, images in everything(scenario).items()} == keeps
    if expected:
        assert scenario.undo(run).state == "undone"
    assert everything(scenario) == before
