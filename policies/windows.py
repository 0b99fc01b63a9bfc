"""Change windows as people write them: `22:00-06:00 Europe/Berlin`."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from pydantic import BeforeValidator, PlainSerializer

from policies.zones import known_zone

_DAY = timedelta(days=1)
_DAYS_AHEAD = 3
"""A night on which the clocks skip a whole window is followed by one that has it."""


@dataclass(frozen=True)
class Window:
    """A part of every day; one that ends before it starts reaches into the next day.

    It opens at the first moment at which the zone's clocks show its start or later, and closes
    in the same way: once each day, on days with 23 or 25 hours, too.
    """

    start: time
    end: time
    zone: str

    def __str__(self) -> str:
        return f"{self.start:%H:%M}-{self.end:%H:%M} {self.zone}"

    def is_open(self, moment: datetime) -> bool:
        return any(opens <= moment < closes for opens, closes in self._around(moment))

    def opens_after(self, moment: datetime) -> datetime:
        """The next opening after `moment`, in UTC."""
        return next(
            opens for opens, closes in self._around(moment) if opens > moment and opens < closes
        )

    def _around(self, moment: datetime) -> Iterator[tuple[datetime, datetime]]:
        """When it opens and closes, from the day before `moment` on."""
        zone = ZoneInfo(self.zone)
        today = moment.astimezone(zone).date()
        overnight = _DAY if self.end < self.start else timedelta()
        for days in range(-1, _DAYS_AHEAD):
            day = today + days * _DAY
            yield _shown(day, self.start, zone), _shown(day + overnight, self.end, zone)


def _shown(day: date, at: time, zone: ZoneInfo) -> datetime:
    """The first moment, to the second, at which the clocks show this time of this day or later."""
    wanted = datetime.combine(day, at)
    found = wanted.replace(tzinfo=zone).astimezone(UTC)
    if found.astimezone(zone).replace(tzinfo=None) == wanted:
        return found
    # The clocks skip it: look for the moment at which they do.
    early, late = found - _DAY, found
    while late - early > timedelta(seconds=1):
        middle = (early + (late - early) / 2).replace(microsecond=0)
        if middle.astimezone(zone).replace(tzinfo=None) < wanted:
            early = middle
        else:
            late = middle
    return late


def _parse(value: Any) -> Any:
    if isinstance(value, Window):
        return value
    match = (
        re.fullmatch(r"([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]):([0-5]\d) (\S+)", value)
        if isinstance(value, str)
        else None
    )
    if match is None:
        raise ValueError(
            "write a window as two times of day and a time zone, such as 22:00-06:00 Europe/Berlin"
        )
    start, end = time(int(match[1]), int(match[2])), time(int(match[3]), int(match[4]))
    if start == end:
        raise ValueError("a window ends at another time than it starts; leave it out for all day")
    return Window(start, end, known_zone(match[5]))


ChangeWindow = Annotated[
    Window, BeforeValidator(_parse), PlainSerializer(str, return_type=str, when_used="always")
]
