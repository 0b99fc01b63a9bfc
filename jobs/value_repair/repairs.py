"""What can be mended: a negative number becomes a declared one, a date kept as text a date."""

import re
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from bson.decimal128 import Decimal128
from pydantic import AfterValidator, Field, StrictInt

from policies.selectors import (
    FieldBelow,
    FieldName,
    FieldType,
    IsType,
    LessThan,
    Selector,
    Vocabulary,
)

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


class NegativeRepair(Vocabulary):
    """A number below 0 becomes `set`; NaN, text, lists and booleans are left."""

    field: FieldName
    when: Literal["negative"]
    set: Annotated[StrictInt, Field(ge=0)]

    @property
    def condition(self) -> Selector:
        return LessThan(less_than=FieldBelow(field=self.field, value=0))

    def mended(self, value: Any) -> int | None:
        number = value.to_decimal() if isinstance(value, Decimal128) else value
        if isinstance(number, bool) or not isinstance(number, int | float | Decimal):
            return None
        is_nan = isinstance(number, Decimal) and number.is_nan()
        return self.set if not is_nan and number < 0 else None


class TextDateRepair(Vocabulary):
    """Text that the declared formats read as exactly one moment becomes that date."""

    field: FieldName
    when: Literal["text_date"]
    parse: Annotated[tuple[DateFormat, ...], Field(min_length=1)]
    timezone: ZoneInfo = ZoneInfo("UTC")

    @property
    def condition(self) -> Selector:
        return IsType(is_type=FieldType(field=self.field, type="text"))

    def mended(self, value: Any) -> datetime | None:
        if not isinstance(value, str):
            return None
        moments = {moment for form in self.parse if (moment := self._read(value, form))}
        return moments.pop() if len(moments) == 1 else None

    def _read(self, text: str, form: str) -> datetime | None:
        try:
            if form != "iso8601":
                moment = datetime.strptime(text, form)  # noqa: DTZ007 - the zone comes below
            elif _ISO_8601.fullmatch(text):
                moment = datetime.fromisoformat(text)
            else:
                return None
            if moment.tzinfo is None:
                moment = moment.replace(tzinfo=self.timezone)
                # The clock shows an hour twice in autumn and skips one in spring.
                if moment.utcoffset() != moment.replace(fold=1).utcoffset():
                    return None
            moment = moment.astimezone(UTC)
        except (ValueError, OverflowError):
            return None
        # A target keeps milliseconds; more digits would never compare equal again.
        moment = moment.replace(microsecond=moment.microsecond // 1000 * 1000)
        return moment if 1900 <= moment.year <= 2100 else None
