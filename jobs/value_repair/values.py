"""What a value is: the words of `when`, asked of one value of a record."""

import math
from collections.abc import Mapping
from decimal import Decimal
from typing import Any, Final

from bson.decimal128 import Decimal128

from jobs.base import Record


class NoPlace:
    """Stands for a field that cannot be there: a list or a plain value is in its way."""


NO_PLACE: Final = NoPlace()


def value_of(record: Record, field: str) -> Any:
    """The value at a dotted name; None where it is absent, `NO_PLACE` where it could not be."""
    found: Any = record
    for name in field.split("."):
        if found is None:
            return None
        if not isinstance(found, Mapping):
            return NO_PLACE
        found = found.get(name)
    return found


def number(value: Any) -> int | float | Decimal | None:
    """The number that this is; None for NaN, booleans and every other type."""
    plain = value.to_decimal() if isinstance(value, Decimal128) else value
    if isinstance(plain, bool) or not isinstance(plain, int | float | Decimal):
        return None
    if isinstance(plain, Decimal):
        return None if plain.is_nan() else plain
    return None if isinstance(plain, float) and math.isnan(plain) else plain


def is_not_a_number(value: Any) -> bool:
    """One value, and no number: NaN, text, a boolean, a date, a document; a list is many values."""
    return not (value is None or isinstance(value, list | NoPlace)) and number(value) is None
