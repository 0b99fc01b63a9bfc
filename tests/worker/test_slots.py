"""Slots against a plain oracle, and the days on which clocks change in plain words."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta
from functools import cache
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from policies.models import Schedule
from tests.examples import examples
from worker.slots import due_slots, next_slot

MINUTE = timedelta(minutes=1)
DAY = timedelta(days=1)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
CHANGES = (
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),  # half an hour
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/St_Johns", date(2010, 3, 14)),  # at one minute past midnight
    ("America/St_Johns", date(2010, 11, 7)),
    ("America/Havana", date(2026, 3, 8)),  # at midnight
    ("UTC", date(2026, 2, 28)),
)


def field(low: int, high: int) -> st.SearchStrategy[str]:
    number = st.integers(low, high)
    span = st.tuples(number, number).map(sorted).map(lambda ends: f"{ends[0]}-{ends[1]}")
    return st.one_of(
        st.just("*"),
        number.map(str),
        span,
        st.lists(number, min_size=2, max_size=3).map(lambda some: ",".join(map(str, some))),
        st.integers(1, (high - low) // 2 or 1).map(lambda step: f"*/{step}"),
    )


weekday = st.sampled_from(["*", "sun", "mon-fri", "sat,mon"])
cron_lines = st.one_of(
    st.tuples(field(0, 59), field(0, 4), st.just("*"), st.just("*"), weekday),
    st.tuples(field(0, 59), field(0, 23), field(1, 31), st.just("*"), st.just("*")),
).map(" ".join)
moments = st.tuples(
    st.sampled_from(CHANGES), st.integers(-2, 1), st.times(), st.integers(0, 72 * 60)
)


@settings(max_examples=examples(120), deadline=None)
@given(cron_lines, moments)
def test_cron_slots_are_those_of_a_minute_by_minute_walk(
    line: str, moment: tuple[tuple[str, date], int, time, int]
) -> None:
    (zone, day), days, clock, minutes = moment
    after = datetime.combine(day, clock, UTC) + timedelta(days=days)
    until = after + timedelta(minutes=minutes)
    schedule = Schedule(cron=line, timezone=zone)
    walked = list(walk(line, zone, day))
    expected = [slot for slot in walked if after < slot <= until]
    assert list(due_slots(schedule, after, until)) == expected
    first = next((slot for slot in walked if slot > after), None)
    assert first is None or next_slot(schedule, after) == first


def walk(line: str, zone: str, day: date) -> Iterator[datetime]:
    """Look at the clock on the wall every minute, from three days before to five after."""
    follows_real_time = "*" in line.split()[1]
    shown_before: set[datetime] = set()
    previous: datetime | None = None
    for moment, shown in clock_on_the_wall(zone, day):
        if follows_real_time:
            due = matches(line, shown)
        else:
            due = shown not in shown_before and matches(line, shown)
            missing = (previous or shown) + MINUTE
            while missing < shown:  # the clock has jumped over these
                due = due or matches(line, missing)
                missing += MINUTE
        shown_before.add(shown)
        previous = shown
        if due:
            yield moment


@cache
def clock_on_the_wall(zone: str, day: date) -> list[tuple[datetime, datetime]]:
    start = datetime.combine(day, time(), UTC) - 3 * DAY
    minutes = (start + number * MINUTE for number in range(8 * 24 * 60))
    return [(minute, minute.astimezone(ZoneInfo(zone)).replace(tzinfo=None)) for minute in minutes]


def matches(line: str, shown: datetime) -> bool:
    values = (shown.minute, shown.hour, shown.day, shown.month, shown.weekday())
    return all(
        field_matches(one, value, low)
        for one, value, low in zip(line.split(), values, (0, 0, 1, 1, 0), strict=True)
    )


@cache
def field_matches(one: str, value: int, low: int) -> bool:
    return one == "*" or any(part_matches(part, value, low) for part in one.split(","))


def part_matches(part: str, value: int, low: int) -> bool:
    if part.startswith("*/"):
        return (value - low) % int(part[2:]) == 0
    first, _, last = part.partition("-")
    return number_of(first) <= value <= number_of(last or first)


def number_of(word: str) -> int:
    return WEEKDAYS.index(word) if word in WEEKDAYS else int(word)


def berlin(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=ZoneInfo("Europe/Berlin")).astimezone(UTC)


def in_berlin(line: str, after: str, until: str) -> list[str]:
    schedule = Schedule(cron=line, timezone="Europe/Berlin")
    slots = due_slots(schedule, berlin(after), berlin(until))
    return [slot.astimezone(ZoneInfo("Europe/Berlin")).isoformat() for slot in slots]


def test_a_time_that_comes_twice_in_autumn_fires_the_first_time() -> None:
    assert in_berlin("30 2 * * *", "2026-10-24T12:00", "2026-10-26T00:00") == [
        "2026-10-25T02:30:00+02:00"
    ]


def test_a_time_that_is_missing_in_spring_fires_at_the_first_moment_after_the_gap() -> None:
    assert in_berlin("*/20 2 * * *", "2026-03-28T12:00", "2026-03-30T00:00") == [
        "2026-03-29T03:00:00+02:00"
    ]


def test_a_time_of_day_is_found_from_inside_the_hour_that_comes_twice() -> None:
    schedule = Schedule(cron="30 2 * * *", timezone="Europe/Berlin")
    first = datetime(2026, 10, 25, 0, 30, tzinfo=UTC)
    second = first + timedelta(hours=1)  # 02:30 again
    ten_minutes = timedelta(minutes=10)
    assert list(due_slots(schedule, first - ten_minutes, second - ten_minutes)) == [first]
    assert list(due_slots(schedule, second - ten_minutes, second + ten_minutes)) == []


def test_a_missing_time_is_found_by_a_look_at_the_very_end_of_the_gap() -> None:
    schedule = Schedule(cron="30 2 * * *", timezone="Europe/Berlin")
    end_of_gap = datetime(2026, 3, 29, 1, tzinfo=UTC)
    second = timedelta(seconds=1)
    assert list(due_slots(schedule, end_of_gap - second, end_of_gap)) == [end_of_gap]
    assert list(due_slots(schedule, end_of_gap, end_of_gap + second)) == []


def test_midnight_after_a_change_of_the_clock_is_not_lost() -> None:
    assert in_berlin("0 0 * * *", "2026-03-28T12:00", "2026-03-30T12:00") == [
        "2026-03-29T00:00:00+01:00",
        "2026-03-30T00:00:00+02:00",
    ]


def test_an_hourly_line_fires_in_both_hours_of_autumn() -> None:
    assert in_berlin("15 * * * *", "2026-10-25T01:30", "2026-10-25T03:30") == [
        "2026-10-25T02:15:00+02:00",
        "2026-10-25T02:15:00+01:00",
        "2026-10-25T03:15:00+01:00",
    ]


@pytest.mark.parametrize("start", ["2026-11-22T03:59:59.999999", "2026-11-22T00:00:00"])
def test_intervals_are_counted_from_the_epoch_whenever_the_process_began(start: str) -> None:
    schedule = Schedule.model_validate({"every": "4h"})
    after = datetime.fromisoformat(start).replace(tzinfo=UTC)
    slots = takewhile(lambda slot: slot.day == 22, due_slots(schedule, after, after + 2 * DAY))
    assert [slot.hour for slot in slots] == [4, 8, 12, 16, 20]


def test_after_is_excluded_and_until_is_included() -> None:
    schedule = Schedule.model_validate({"every": "10s"})
    edge = datetime(2026, 11, 22, 3, 0, 10, tzinfo=UTC)
    assert list(due_slots(schedule, edge, edge)) == []
    assert list(due_slots(schedule, edge, edge + timedelta(seconds=9.9))) == []
    before = edge - timedelta(microseconds=1)
    assert list(due_slots(schedule, before, edge)) == [edge]
    assert list(due_slots(schedule, before, edge + timedelta(seconds=10))) == [
        edge,
        edge + timedelta(seconds=10),
    ]


def test_a_clock_that_went_backwards_has_no_slots() -> None:
    now = datetime(2026, 11, 22, tzinfo=UTC)
    for schedule in (Schedule(cron="* * * * *"), Schedule(cron="0 3 * * *")):
        assert list(due_slots(schedule, now, now - timedelta(days=3))) == []


@pytest.mark.parametrize("line", ["* * * * *", "* 0 * * *"])
def test_slots_are_computed_as_they_are_asked_for(line: str) -> None:
    start = datetime(2026, 1, 1, tzinfo=UTC)
    slots = due_slots(Schedule(cron=line), start, start.replace(year=9000))
    assert [slot.minute for slot in islice(slots, 3)][-2:] in ([1, 2], [2, 3])


def test_a_leap_day_is_found_however_far_away() -> None:
    schedule = Schedule(cron="0 3 29 2 *")
    found = next_slot(schedule, datetime(2096, 3, 1, tzinfo=UTC))
    assert found == datetime(2104, 2, 29, 3, tzinfo=UTC)
