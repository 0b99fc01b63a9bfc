"""Values of every kind, and an oracle that says which repairs are after them."""

import math
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from bson import Binary, Code, MaxKey, MinKey, ObjectId, Regex, Timestamp
from bson.decimal128 import Decimal128
from bson.int64 import Int64
from hypothesis import strategies as st

KINDS: dict[str, Any] = {
    "negative": "negative",
    "zero": "zero",
    "missing": "missing",
    "not_a_number": "not_a_number",
    "text_date": "text_date",
    "above": {"above": 5},
}
ABSENT = object()

numbers = st.one_of(
    st.integers(-(2**63), 2**63 - 1).map(Int64),
    st.integers(-7, 7),
    st.floats(),
    st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-9, max_value=9).map(
        Decimal128
    ),
    st.sampled_from(["NaN", "-NaN", "Infinity", "-Infinity", "-0", "0E-6", "5.0", "5E+40"]).map(
        Decimal128
    ),
)
OTHERS = [
    *(True, False, "", "7", "-1", "NaN", "2024-01-02", {}, {"value": -1}, Binary(b"7")),
    *(ObjectId("0" * 24), Regex("7"), Timestamp(1, 1), Code("7"), MinKey(), MaxKey()),
    *(datetime(1960, 1, 1, tzinfo=UTC), datetime(2060, 1, 1, tzinfo=UTC)),
]
others = st.sampled_from(OTHERS)
single = st.one_of(numbers, others, st.none(), st.just(ABSENT))
values = st.one_of(single, st.lists(st.one_of(numbers, others, st.none()), max_size=3))


def wanted_by(value: Any) -> set[str]:
    """The oracle: a number is read by its text alone."""
    if value is None or value is ABSENT:
        return {"missing"}
    if isinstance(value, list):
        return set()
    if isinstance(value, str):
        return {"not_a_number"} if isinstance(value, Code) else {"not_a_number", "text_date"}
    if isinstance(value, bool) or not isinstance(value, int | float | Decimal128):
        return {"not_a_number"}
    number = Decimal(str(value))
    if math.isnan(number):
        return {"not_a_number"}
    if number.is_signed() and number:
        return {"negative"}
    return {"zero"} if not number else {"above"} if number > 5 else set()
