"""Values as MongoDB compares them: 1, 1.0 and Decimal128("1.0") are one key, True is another."""

import math
from collections.abc import Hashable
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from bson import Binary, Decimal128, ObjectId
from bson.datetime_ms import DatetimeMS


@dataclass(frozen=True)
class Kind:
    """Types that MongoDB compares as one, and that can be the key of a parent."""

    types: tuple[str, ...]
    found_by: dict[str, Any]
    """A condition on a field that an index answers; NaN is no number here."""


KINDS = {
    "objectId": Kind(("objectId",), {"$type": "objectId"}),
    "string": Kind(("string", "symbol"), {"$gte": ""}),
    "number": Kind(("int", "long", "double", "decimal"), {"$gte": -math.inf}),
    "binData": Kind(("binData",), {"$type": "binData"}),
    "date": Kind(("date",), {"$type": "date"}),
}
NO_KEYS = (
    *("null", "undefined", "object", "array", "bool", "regex", "dbPointer", "javascript"),
    *("javascriptWithScope", "timestamp", "minKey", "maxKey"),
)
"""The types of every other value."""


def kind_of(value: Any) -> str | None:
    """The word in `KINDS`; None for what is no key, such as null, NaN, a list or a document."""
    if isinstance(value, ObjectId):
        return "objectId"
    if type(value) is str:  # code is a str, too
        return "string"
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float | Decimal128):
        return None if _is_nan(value) else "number"
    if isinstance(value, bytes):
        return "binData"
    return "date" if isinstance(value, datetime | DatetimeMS) else None


def compared(value: Any) -> Hashable:
    """Equal for two keys of a kind exactly when MongoDB calls them equal."""
    if isinstance(value, ObjectId):
        return value.binary  # quicker to look up, and no other kind is compared as plain bytes
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, bytes):
        return ("binData", value.subtype if isinstance(value, Binary) else 0, bytes(value))
    if isinstance(value, datetime | DatetimeMS):
        return ("date", int(value if isinstance(value, DatetimeMS) else DatetimeMS(value)))
    known: Hashable = value
    return known


def _is_nan(value: float | Decimal128) -> bool:
    return value.to_decimal().is_nan() if isinstance(value, Decimal128) else math.isnan(value)
