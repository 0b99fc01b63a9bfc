"""Text that says one moment: which formats may be declared, and what they read."""

import re
from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Annotated
from zoneinfo import ZoneInfo

from pydantic import AfterValidator

from jobs.moments import milliseconds

_ISO_8601 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
    r"([T ][0-9]{2}:[0-9]{2}(:[0-9]{2}(\.[0-9]{1,9})?)?(Z|[+-][0-9]{2}:?[0-9]{2})?)?"
)
_SAMPLE = datetime(2024, 11, 30, 13, 45, 58, tzinfo=UTC)


def _says_one_moment(form: str) -> str:
    """Refuse a format that leaves the century, the day or the half of the day to a guess."""
    if form == "iso8601":
        return form
    if re.search(r"%[ycxXZ]", form.replace("%%", "")):
        raise ValueError(f"'{form}' leaves something open: write %Y, %m, %d, %H and %z")
    try:
        read = datetime.strptime(_SAMPLE.strftime(form), form)  # noqa: DTZ007 - only compared
    except (ValueError, re.error) as error:
        raise ValueError(f"'{form}' is no format that Python's strptime can read") from error
    if read.date() != _SAMPLE.date() or read.hour not in {0, _SAMPLE.hour}:
        raise ValueError(f"'{form}' must say year, month and day, and %p with %I; or write iso8601")
    return form


DateFormat = Annotated[str, AfterValidator(_says_one_moment)]


def read_date(text: str, forms: Iterable[str], zone: ZoneInfo) -> datetime | None:
    """The one moment that these formats read in the text; None if there is none, or two."""
    moments = {moment for form in forms if (moment := _read(text, form, zone))}
    return moments.pop() if len(moments) == 1 else None


def _read(text: str, form: str, zone: ZoneInfo) -> datetime | None:
    try:
        if form != "iso8601":
            moment = datetime.strptime(text, form)  # noqa: DTZ007 - the zone comes below
        elif _ISO_8601.fullmatch(text):
            moment = datetime.fromisoformat(text)
        else:
            return None
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=zone)
            # The clock shows an hour twice in autumn and skips one in spring.
            if moment.utcoffset() != moment.replace(fold=1).utcoffset():
                return None
        moment = milliseconds(moment)  # more digits would never compare equal again
    except (ValueError, OverflowError):
        return None
    return moment if 1900 <= moment.year <= 2100 else None
