"""Ages as people write them: `10m`, `24h`, `2555d`, `7y`."""

import re
from dataclasses import dataclass
from datetime import MAXYEAR, datetime, timedelta
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, PlainSerializer

MAX_YEARS = 200
_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Age:
    """A length of time; years are calendar years, every other unit is a fixed number of seconds."""

    amount: int
    unit: str

    def __str__(self) -> str:
        return f"{self.amount}{self.unit}"

    @property
    def is_calendar(self) -> bool:
        return self.unit == "y"

    @property
    def delta(self) -> timedelta:
        """The fixed length; a calendar year has none, and asking for it is a mistake."""
        return timedelta(seconds=self.amount * _SECONDS[self.unit])

    def before(self, moment: datetime) -> datetime:
        """The moment this long before `moment`; 29 February of a leap year becomes the 28th."""
        if not self.is_calendar:
            return moment - self.delta
        year = moment.year - self.amount
        try:
            return moment.replace(year=year)
        except ValueError:
            return moment.replace(year=year, day=28)

    def after(self, moment: datetime) -> datetime | None:
        """The last moment at which `moment` is not older than this; None beyond the year 9999."""
        if not self.is_calendar:
            try:
                return moment + self.delta
            except OverflowError:
                return None
        year = moment.year + self.amount
        if year > MAXYEAR:
            return None
        try:
            return moment.replace(year=year)
        except ValueError:  # 29 February: from 1 March on it is older
            return moment.replace(
                year=year, month=3, day=1, hour=0, minute=0, second=0, microsecond=0
            )


def _parse(value: Any) -> Any:
    if isinstance(value, Age):
        return value
    match = re.fullmatch(r"(\d{1,6})([smhdy])", value) if isinstance(value, str) else None
    if match is None:
        raise ValueError("write an age as a number and one of s, m, h, d, y, such as 2555d or 7y")
    age = Age(int(match[1]), match[2])
    years = age.amount if age.is_calendar else age.delta.days / 365
    if years > MAX_YEARS:
        raise ValueError(f"an age is at most {MAX_YEARS} years; no application is older")
    return age


def _fixed(age: Age) -> Age:
    if age.is_calendar:
        raise ValueError("a calendar year has no fixed length; write it in d, h, m or s")
    return age


CalendarAge = Annotated[Age, BeforeValidator(_parse), PlainSerializer(str, return_type=str)]
Duration = Annotated[CalendarAge, AfterValidator(_fixed)]
