"""Every selector has words, and the moment that is told is the one at which it becomes true."""

from datetime import UTC, datetime, timedelta
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from policies.durations import Age
from policies.selectors import Selector
from tests.worker.targets.shops import words
from worker.explain.wording import in_words, parts_of, turning_points, turns_at

NEGATIVE = {"less_than": {"field": "stock", "value": -1000}}
SAID: dict[str, tuple[dict[str, Any], str]] = {
    "OlderThan": (
        {"older_than": {"field": "at", "age": "7y"}},
        "at is a date more than 7y ago",
    ),
    "YoungerThan": (
        {"younger_than": {"field": "at", "age": "7y"}},
        "at is a date no more than 7y ago",
    ),
    "LessThan": (NEGATIVE, "stock is a number below -1,000"),
    "MoreThan": (
        {"more_than": {"field": "stock", "value": 1000}},
        "stock is a number above 1,000",
    ),
    "NotANumber": (
        {"not_a_number": {"field": "stock"}},
        "stock holds one value that is no number",
    ),
    "Missing": ({"missing": {"field": "stock"}}, "stock is absent or null"),
    "IsType": ({"is_type": {"field": "date", "type": "text"}}, "date holds text"),
    "Equals": ({"equals": {"field": "type", "value": "return"}}, 'type is "return"'),
    "NotIn": (
        {"not_in": {"field": "userId", "parent": "users"}},
        "userId is the _id of nothing in users",
    ),
    "AnyOf": ({"any": [NEGATIVE]}, "at least one of these"),
    "AllOf": ({"all": [NEGATIVE]}, "each of these"),
    "NoneOf": ({"none": [NEGATIVE]}, "none of these"),
}
SECOND = timedelta(seconds=1)
MOMENTS = st.datetimes(datetime(300, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - hypothesis adds the zone
AGES = st.builds(Age, st.integers(0, 200), st.sampled_from("smhdy"))


def selectors() -> list[type[BaseModel]]:
    """Every class that the vocabulary offers."""
    union = get_args(Selector)[0]
    return [get_args(tagged)[0] for tagged in get_args(union)]


def test_the_vocabulary_is_walked() -> None:
    assert len(selectors()) >= 7


@pytest.mark.parametrize("kind", selectors(), ids=lambda kind: kind.__name__)
def test_every_selector_is_explained_in_words(kind: type[BaseModel]) -> None:
    assert kind.__name__ in SAID, f"say in worker/explain/wording.py what {kind.__name__} means"
    document, said = SAID[kind.__name__]
    selector = words(**document)
    assert isinstance(selector, kind)
    assert in_words(selector) == said


@pytest.mark.parametrize("word", ["any", "all", "none"])
def test_a_selector_with_parts_shows_them(word: str) -> None:
    assert parts_of(words(**{word: [NEGATIVE, NEGATIVE]})) == (words(**NEGATIVE),) * 2


def test_an_age_of_nothing_is_a_date_that_has_passed() -> None:
    assert in_words(words(older_than={"field": "expiresAt", "age": "0s"})) == (
        "expiresAt is a date that has passed"
    )


@given(moment=MOMENTS, age=AGES)
def test_a_date_is_not_too_old_until_the_moment_told_and_is_just_after(
    moment: datetime, age: Age
) -> None:
    told = age.after(moment)
    assert told is not None
    assert not moment < age.before(told - SECOND)
    assert moment < age.before(told + SECOND)


@given(moment=MOMENTS, age=AGES, part=st.floats(0, 1))
def test_a_date_is_never_too_old_before_the_moment_told(
    moment: datetime, age: Age, part: float
) -> None:
    told = age.after(moment)
    assert told is not None
    earlier = min(moment + (told - moment) * part, told - SECOND)
    assert not moment < age.before(earlier)


def test_a_leap_day_is_seven_years_old_on_the_first_of_march() -> None:
    born = datetime(2016, 2, 29, 12, tzinfo=UTC)
    assert Age(7, "y").after(born) == datetime(2023, 3, 1, tzinfo=UTC)


@pytest.mark.parametrize("age", [Age(200, "y"), Age(73_000, "d")])
def test_a_date_at_the_end_of_time_never_becomes_old(age: Age) -> None:
    assert age.after(datetime(9999, 6, 1, tzinfo=UTC)) is None


@pytest.mark.parametrize("value", [None, "2020-01-01", 5, [datetime(2020, 1, 1, tzinfo=UTC)]])
def test_what_is_no_date_never_becomes_old(value: Any) -> None:
    selector = words(older_than={"field": "a.b", "age": "1d"})
    assert turns_at(selector, {"a": {"b": value}}) is None
    assert turns_at(selector, {}) is None


def test_every_date_in_a_selector_is_a_turning_point() -> None:
    day = datetime(2020, 1, 1, tzinfo=UTC)
    selector = words(
        any=[
            {"older_than": {"field": "a", "age": "1d"}},
            {"none": [{"younger_than": {"field": "b", "age": "2d"}}]},
            NEGATIVE,
        ]
    )
    points = list(turning_points(selector, {"a": day, "b": day, "stock": -1}))
    assert points == [day + timedelta(days=1), day + timedelta(days=2)]
