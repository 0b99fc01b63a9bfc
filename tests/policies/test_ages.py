"""Ages and cutoffs: calendar years keep the date, every other unit is a fixed length."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from policies.durations import Age, CalendarAge, Duration
from policies.selectors import AllOf, FieldAge, OlderThan, cutoffs

SECONDS = {"s": 1, "m": 60, "h": 3_600, "d": 86_400}
moments = st.datetimes(
    min_value=datetime(1_500, 1, 1),  # noqa: DTZ001 - hypothesis adds the zone to naive bounds
    max_value=datetime(2_500, 1, 1),  # noqa: DTZ001 - the same
    timezones=st.just(UTC),
)
years = st.integers(0, 200).map(lambda amount: Age(amount, "y"))
lengths = st.builds(Age, st.integers(0, 73_000), st.sampled_from(sorted(SECONDS)))


def _day(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


@pytest.mark.parametrize(
    ("age", "now", "cutoff"),
    [
        (Age(7, "y"), "2024-03-01", "2017-03-01"),
        (Age(2_555, "d"), "2024-03-01", "2017-03-03"),
        (Age(7, "y"), "2024-02-29", "2017-02-28"),
        (Age(4, "y"), "2024-02-29", "2020-02-29"),
        (Age(1, "y"), "2100-02-28", "2099-02-28"),
        (Age(1, "y"), "2025-02-28", "2024-02-28"),
        (Age(10, "m"), "2024-03-01", "2024-02-29T23:50"),
    ],
)
def test_the_cutoff_is_this_day(age: Age, now: str, cutoff: str) -> None:
    assert age.before(_day(now)) == _day(cutoff)


def test_seven_calendar_years_keep_longer_than_2555_days() -> None:
    for day in range(1_461):
        now = _day("2024-01-01") + timedelta(days=day)
        assert Age(7, "y").before(now) < Age(2_555, "d").before(now)


@settings(deadline=None)  # a shared machine has slow moments
@given(age=years | lengths)
def test_an_age_reads_back_as_it_was_written(age: Age) -> None:
    assert TypeAdapter(CalendarAge).validate_python(str(age)) == age


@settings(deadline=None)  # a shared machine has slow moments
@given(age=lengths, now=moments)
def test_a_fixed_length_is_so_many_seconds(age: Age, now: datetime) -> None:
    assert (now - age.before(now)).total_seconds() == age.amount * SECONDS[age.unit]


@settings(deadline=None)  # a shared machine has slow moments
@given(age=years, now=moments)
def test_a_year_keeps_the_date_unless_it_is_a_leap_day(age: Age, now: datetime) -> None:
    cutoff = age.before(now)
    assert (cutoff.year, cutoff.month, cutoff.time()) == (
        now.year - age.amount,
        now.month,
        now.time(),
    )
    leap = (now.month, now.day) == (2, 29)
    assert cutoff.day == now.day or (leap and cutoff.day == 28)


@settings(deadline=None)  # a shared machine has slow moments
@given(age=years | lengths, one=moments, other=moments)
def test_a_later_moment_never_has_an_earlier_cutoff(
    age: Age, one: datetime, other: datetime
) -> None:
    assert age.before(min(one, other)) <= age.before(max(one, other))


@settings(deadline=None)  # a shared machine has slow moments
@given(text=st.text(max_size=8))
def test_any_other_text_is_refused_or_means_what_it_says(text: str) -> None:
    try:
        age = TypeAdapter(CalendarAge).validate_python(text)
    except ValidationError:
        return
    assert age.unit == text[-1]
    assert age.amount == int(text[:-1])


def test_a_calendar_year_is_no_length_of_time() -> None:
    with pytest.raises(ValidationError, match="has no fixed length"):
        TypeAdapter(Duration).validate_python("1y")


def test_the_latest_of_two_cutoffs_of_one_field_counts() -> None:
    ages = [Age(7, "y"), Age(30, "d")]
    both = AllOf(
        all=tuple(OlderThan(older_than=FieldAge(field="createdAt", age=age)) for age in ages)
    )
    assert cutoffs(both, _day("2024-03-01")) == {"createdAt": _day("2024-01-31")}
