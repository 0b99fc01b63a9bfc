"""Selectors compiled to MongoDB filters: the one place where a selector becomes a query."""

from collections.abc import Iterable
from datetime import datetime
from typing import Any

from bson import ObjectId

from policies.selectors import (
    AllOf,
    AnyOf,
    Equals,
    FieldValue,
    IsType,
    LessThan,
    NoneOf,
    OlderThan,
    Selector,
    YoungerThan,
)

Filter = dict[str, Any]

# Without it the planner picks the date index and rescans it: 20 times slower (DESIGN.md).
BY_KEY = {"_id": 1}

# A comparison with a list looks at each element; a condition on a field never means that.
_NO_LIST = {"$not": {"$type": "array"}}


def compile_selector(selector: Selector, as_of: datetime) -> Filter:
    """The filter for a selector; MongoDB's type bracketing keeps text from being a date."""
    match selector:
        case OlderThan(older_than=what):
            return {what.field: {"$lt": what.age.before(as_of), **_NO_LIST}}
        case YoungerThan(younger_than=what):
            return {what.field: {"$gte": what.age.before(as_of), **_NO_LIST}}
        case LessThan(less_than=below):
            return {below.field: {"$lt": below.value, **_NO_LIST}}
        case IsType(is_type=kind):
            return {kind.field: {"$type": "string", **_NO_LIST}}
        case Equals(equals=value):
            return {value.field: _equals(value)}
        case AnyOf(any=parts):
            return _combine("$or", parts, as_of)
        case AllOf(all=parts):
            return _combine("$and", parts, as_of)
        case NoneOf(none=parts):
            return _combine("$nor", parts, as_of)


def _combine(operator: str, parts: Iterable[Selector], as_of: datetime) -> Filter:
    return {operator: [compile_selector(part, as_of) for part in parts]}


def _equals(value: FieldValue) -> Filter:
    if value.type == "objectid":
        return {"$eq": ObjectId(str(value.value)), **_NO_LIST}
    if value.value is None:
        return {"$type": "null"}
    return {"$eq": value.value, **_NO_LIST}
