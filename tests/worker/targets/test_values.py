"""What a target finds is exactly what the repair then mends, whatever the value is."""

from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from jobs.base import Fail
from policies.models import Policy
from tests.examples import examples
from tests.jobs.policy_of import policy_of
from tests.jobs.values import ABSENT, KINDS, OTHERS, values, wanted_by
from tests.worker.scenario import NOW
from worker.registry import jobs
from worker.targets.mongo import MongoTarget

JOB = jobs()["value_repair"]


def repair(kind: str, field: str) -> Policy:
    when = {"field": field, "when": KINDS[kind], "quarantine": "1d"}
    return policy_of("value_repair", repairs=[when])


def found(target: MongoTarget, policy: Policy) -> dict[int, Any]:
    pages = target.reader("things", NOW, scan=False).select(JOB.selector(policy), ("_id",))
    return {item.key: item.fields for page in pages for item in page}


@settings(
    deadline=None,  # a real server, on a shared machine
    max_examples=examples(60),
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@example(held=[*OTHERS, None, ABSENT, OTHERS], field="a.f")
@given(held=st.lists(values, min_size=1, max_size=40), field=st.sampled_from(["f", "a.f", "a.b.f"]))
def test_each_kind_finds_and_mends_the_values_it_is_after(
    mongo_url: str, mongo_database: Database[dict[str, Any]], held: list[Any], field: str
) -> None:
    things = mongo_database.things
    things.drop()
    things.create_index(field)
    for number, value in enumerate(held):
        things.insert_one({"_id": number, **nested(field, value)})
    target = MongoTarget(mongo_url)
    for kind in KINDS:
        policy = repair(kind, field)
        expected = {number for number, value in enumerate(held) if kind in wanted_by(value)}
        assert set(found(target, policy)) == expected, kind
        mended = {
            record["_id"]
            for record in mongo_database.things.find()
            if not isinstance(JOB.change(policy, record), Fail)
        }
        assert mended == expected, kind
    target.close()


def nested(field: str, value: Any) -> dict[str, Any]:
    first, _, rest = field.partition(".")
    if rest:
        return {first: nested(rest, value)}
    return {} if value is ABSENT else {first: value}


@pytest.mark.parametrize(
    ("record", "is_due"),
    [
        ({}, True),
        ({"a": None}, True),
        ({"a": {}}, True),
        ({"a": {"b": None}}, True),
        ({"a": {"b": {"f": None}}}, True),
        ({"a": {"b": {"f": 0}}}, False),
        ({"a": 5}, False),
        ({"a": {"b": "text"}}, False),
        ({"a": []}, False),
        ({"a": [{"b": {}}]}, False),
        ({"a": [{"b": {"f": None}}, None]}, False),
    ],
)
def test_a_dotted_field_is_missing_only_where_it_could_be_set(
    mongo_url: str, mongo_database: Database[dict[str, Any]], record: dict[str, Any], is_due: bool
) -> None:
    mongo_database.things.create_index("a.b.f")
    mongo_database.things.insert_one({"_id": 1, **record})
    policy = repair("missing", "a.b.f")
    target = MongoTarget(mongo_url)
    assert list(found(target, policy)) == ([1] if is_due else [])
    assert isinstance(JOB.change(policy, record), Fail) is not is_due
    target.close()


@pytest.mark.parametrize("condition", ["negative", "zero", "not_a_number", "text_date", "above"])
def test_nothing_inside_a_list_is_looked_at(
    mongo_url: str, mongo_database: Database[dict[str, Any]], condition: str
) -> None:
    mongo_database.things.create_index("a.f")
    inside = [{"f": value} for value in (-1, 0, 7, "2024-01-02", float("nan"))]
    mongo_database.things.insert_one({"_id": 1, "a": inside})
    target = MongoTarget(mongo_url)
    assert found(target, repair(condition, "a.f")) == {}
    target.close()
