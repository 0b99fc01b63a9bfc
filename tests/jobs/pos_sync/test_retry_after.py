"""`Retry-After`, in every form that providers send."""

from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from jobs.pos_sync.retry_after import LONGEST, MISSING, SHORTEST, seconds

NOW = datetime(2026, 11, 22, 3, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("7", 7),
        (" 7 ", 7),
        ("2.0", 2),
        ("1.5", 1.5),
        ("0", SHORTEST),
        ("-30", SHORTEST),
        ("Sun, 22 Nov 2026 03:02:00 GMT", 120),
        ("Sun, 22 Nov 2026 03:02:00 -0000", 120),
        ("Sun, 22 Nov 2026 04:02:00 +0100", 120),
        ("Sun, 22 Nov 2026 02:00:00 GMT", SHORTEST),
        ("Fri, 22 Nov 2999 02:00:00 GMT", LONGEST),
        ("99999999999999999999", LONGEST),
        ("inf", LONGEST),
        ("nan", MISSING),
        ("soon", MISSING),
        ("", MISSING),
        (None, MISSING),
        ("Sun, 99 Nov 2026 03:02:00 GMT", MISSING),
    ],
)
def test_every_form_becomes_seconds(value: str | None, expected: float) -> None:
    assert seconds(value, NOW) == expected


@given(st.text(max_size=40))
def test_no_text_breaks_it_or_waits_for_ever(value: str) -> None:
    assert SHORTEST <= seconds(value, NOW) <= LONGEST


@given(st.integers(-90_000, 90_000).map(lambda number: NOW + timedelta(seconds=number)))
def test_a_date_is_waited_for_to_the_second(moment: datetime) -> None:
    expected = min(max((moment - NOW).total_seconds(), SHORTEST), LONGEST)
    assert seconds(format_datetime(moment, usegmt=True), NOW) == expected
