"""Change windows, against clocks that are read again and again."""

from datetime import UTC, date, datetime, time, timedelta
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter, ValidationError

from policies.windows import ChangeWindow, Window

WINDOWS: TypeAdapter[Window] = TypeAdapter(ChangeWindow)
MINUTE = timedelta(minutes=1)
# Clocks go forward in the first and back in the second; Lord Howe moves by half an hour.
CHANGES = [
    ("Europe/Berlin", date(2026, 3, 29)),
    ("Europe/Berlin", date(2026, 10, 25)),
    ("America/New_York", date(2026, 3, 8)),
    ("America/New_York", date(2026, 11, 1)),
    ("Australia/Lord_Howe", date(2026, 4, 5)),
    ("Australia/Lord_Howe", date(2026, 10, 4)),
    ("America/Sao_Paulo", date(2018, 11, 4)),
    ("UTC", date(2026, 6, 1)),
]
quarters = st.integers(0, 95).map(lambda quarter: time(quarter // 4, quarter % 4 * 15))


def window(text: str) -> Window:
    return WINDOWS.validate_python(text)


def utc(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def first_shown(day: date, at: time, zone: str) -> datetime:
    """Read the clocks every quarter of an hour, from well before on: here they change on one."""
    wanted = datetime.combine(day, at)
    moment = wanted.replace(tzinfo=UTC) - timedelta(hours=16)
    while moment.astimezone(ZoneInfo(zone)).replace(tzinfo=None) < wanted:
        moment += 15 * MINUTE
    return moment


@pytest.mark.parametrize(
    ("moment", "is_open"),
    [
        ("2026-06-01 19:59:59", False),
        ("2026-06-01 20:00:00", True),
        ("2026-06-01 23:30:00", True),
        ("2026-06-02 03:59:59", True),
        ("2026-06-02 04:00:00", False),
        ("2026-12-01 20:59:59", False),
        ("2026-12-01 21:00:00", True),
        ("2026-12-02 05:00:00", False),
    ],
)
def test_a_night_in_berlin_begins_and_ends_to_the_second(moment: str, is_open: bool) -> None:
    assert window("22:00-06:00 Europe/Berlin").is_open(utc(moment)) == is_open


def test_a_window_by_day_is_closed_at_night() -> None:
    day = window("09:30-17:00 America/New_York")
    times = ("13:29", "13:30", "20:59", "21:00")
    is_open = [day.is_open(utc(f"2026-07-01 {at}")) for at in times]
    assert is_open == [False, True, True, False]
    assert day.opens_after(utc("2026-07-01 21:00")) == utc("2026-07-02 13:30")


def test_a_time_that_the_clocks_skip_means_the_moment_at_which_they_do() -> None:
    night = window("02:30-06:00 Europe/Berlin")
    assert night.opens_after(utc("2026-03-29 00:00")) == utc("2026-03-29 01:00")


def test_a_window_that_the_clocks_skip_opens_on_the_day_after() -> None:
    skipped = window("02:15-02:45 Europe/Berlin")
    assert skipped.opens_after(utc("2026-03-28 12:00")) == utc("2026-03-30 00:15")


def test_a_window_whose_end_comes_twice_closes_at_the_first() -> None:
    night = window("22:00-02:30 Europe/Berlin")
    assert night.is_open(utc("2026-10-25 00:29"))
    assert not night.is_open(utc("2026-10-25 00:30"))
    assert not night.is_open(utc("2026-10-25 01:15"))


@settings(deadline=None)
@given(st.sampled_from(CHANGES), quarters, quarters, st.integers(-26 * 60, 50 * 60))
def test_it_is_open_when_the_clocks_say_so(
    change: tuple[str, date], start: time, end: time, minutes: int
) -> None:
    zone, day = change
    if start == end:
        return
    found = window(f"{start:%H:%M}-{end:%H:%M} {zone}")
    moment = datetime.combine(day, time(), UTC) + minutes * MINUTE
    spans = []
    for days in range(-3, 5):
        one = day + timedelta(days=days)
        closing = one + timedelta(days=end < start)
        spans.append((first_shown(one, start, zone), first_shown(closing, end, zone)))
    assert found.is_open(moment) == any(opens <= moment < closes for opens, closes in spans)
    opens = min(opens for opens, closes in spans if moment < opens < closes)
    assert found.opens_after(moment) == opens


@pytest.mark.parametrize(
    "text",
    [
        "22:00-06:00",
        "22-06 Europe/Berlin",
        "22:00-24:00 Europe/Berlin",
        "9:00-17:00 UTC",
        "22:00 - 06:00 UTC",
        "22:00-06:60 UTC",
        "",
        2200,
        None,
    ],
)
def test_what_is_no_window_is_refused(text: object) -> None:
    with pytest.raises(ValidationError, match="write a window as two times of day and a time zone"):
        WINDOWS.validate_python(text)


def test_a_window_of_no_length_and_an_unknown_zone_are_refused() -> None:
    with pytest.raises(ValidationError, match="leave it out for all day"):
        window("22:00-22:00 UTC")
    with pytest.raises(ValidationError, match="'Berlin' is not a time zone of the IANA database"):
        window("22:00-06:00 Berlin")


@pytest.mark.parametrize("text", ["22:00-06:00 Europe/Berlin", "00:00-12:30 UTC"])
def test_a_window_is_written_as_it_was_read(text: str) -> None:
    assert WINDOWS.dump_python(window(text), mode="json") == text
