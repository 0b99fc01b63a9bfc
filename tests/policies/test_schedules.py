"""What a schedule may say: lines that programs read differently, or never, are refused."""

import pytest
from pydantic import ValidationError

from policies.models import Schedule


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 3 * *", "has five fields"),
        ("0 3 * * 1", "write weekdays as mon to sun"),
        ("0 3 1 * mon", "the day or the weekday, not both"),
        ("0 3 * jan/3 *", "'jan/3' is no part of a cron line"),
        ("0 3 lastx * *", "'lastx' is no part of a cron line"),
        ("99 * * * *", "cannot be"),
        ("0 24 * * *", "cannot be"),
        ("*/60 * * * *", "cannot be"),
        ("0 3 31 2 *", "never fires"),
    ],
)
def test_a_line_that_cannot_be_meant_is_refused(line: str, reason: str) -> None:
    with pytest.raises(ValidationError, match=reason):
        Schedule(cron=line)


@pytest.mark.parametrize(
    "line", ["*/5 * * * *", "0 3 last * *", "0 3 * jan-mar mon-fri", "0 3 29 2 *"]
)
def test_a_line_of_the_classic_kind_is_taken(line: str) -> None:
    assert Schedule(cron=line).cron == line


def test_a_schedule_has_one_of_cron_and_every() -> None:
    with pytest.raises(ValidationError, match="either cron or every"):
        Schedule()
    with pytest.raises(ValidationError, match="either cron or every"):
        Schedule.model_validate({"cron": "0 3 * * *", "every": "1h"})
