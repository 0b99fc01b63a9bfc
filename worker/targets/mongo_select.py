"""Selectors compiled to MongoDB filters: the one place where a selector becomes a query."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from bson import ObjectId

from policies.selectors import (
    AllOf,
    AnyOf,
    Equals,
    FieldValue,
    IsType,
    LessThan,
    Local,
    Missing,
    MoreThan,
    NoneOf,
    NotANumber,
    NotIn,
    OlderThan,
    Selector,
    YoungerThan,
)

Filter = dict[str, Any]

# Without it the planner picks the date index and rescans it: 20 times slower (DESIGN.md).
BY_KEY = {"_id": 1}

# A comparison with a list looks at each element; a condition on a field never means that.
_NO_LIST: Filter = {"$not": {"$type": "array"}}
_NAN = float("nan")
# What has one value and is no number. Spelled out, so that an index is read at these types alone.
_OTHER_TYPES = [
    *("string", "object", "binData", "objectId", "bool", "date", "regex", "timestamp"),
    *("javascript", "javascriptWithScope", "symbol", "dbPointer", "minKey", "maxKey"),
]
_TYPES = {"text": "string", "date": "date"}
_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def compile_selector(
    selector: Selector, as_of: datetime, orphaned: Sequence[Any] | None = None
) -> Filter:
    """The filter for a selector; MongoDB's type bracketing keeps text from being a date.

    A filter cannot look into another collection: `orphaned` are the keys that were looked up
    and found to have no parent, among those of the records that are asked for.
    """
    match selector:
        case NotIn(not_in=parent):
            if orphaned is None:
                raise AssertionError("a not_in is asked with the keys that have no parent")
            return _of(parent.field, {"$in": list(orphaned)})
        case AnyOf(any=parts):
            return {"$or": [compile_selector(part, as_of) for part in parts]}
        case AllOf(all=parts):
            return {"$and": [compile_selector(part, as_of, orphaned) for part in parts]}
        case NoneOf(none=parts):
            return {"$nor": [compile_selector(part, as_of) for part in parts]}
        case leaf:
            return _condition(leaf, as_of)


def _condition(leaf: Local, as_of: datetime) -> Filter:
    match leaf:
        case OlderThan(older_than=what):
            return _older(what.field, what.age.before(as_of))
        case YoungerThan(younger_than=what):
            return _of(what.field, {"$gte": what.age.before(as_of)})
        case LessThan(less_than=bound):
            return _of(bound.field, {"$lt": bound.value})
        case MoreThan(more_than=bound):
            return _of(bound.field, {"$gt": bound.value})
        case NotANumber(not_a_number=what):
            is_other = _of(what.field, {"$type": _OTHER_TYPES})
            return {"$or": [is_other, _of(what.field, {"$eq": _NAN})]}
        case Missing(missing=what):
            return _missing(what.field)
        case IsType(is_type=kind):
            return _of(kind.field, {"$type": _TYPES[kind.type]})
        case Equals(equals=value):
            return _of(value.field, _equals(value))


def compile_held(held: Selector | None, as_of: datetime) -> Filter | None:
    return None if held is None else compile_selector(held, as_of)


def _older(field: str, cutoff: datetime) -> Filter:
    by_date = _of(field, {"$lt": cutoff})
    if field != "_id":
        return by_date
    # Before 1970 no ObjectId was made; a whole second counts as its beginning.
    made = ObjectId.from_datetime(max(cutoff, _EPOCH))
    return {"$or": [by_date, {"_id": {"$lt": made}}]}


def _of(field: str, condition: Filter) -> Filter:
    """A condition on the one value that the dotted name leads to, past no list."""
    return {
        field: {**condition, **_NO_LIST},
        **dict.fromkeys(_parents(field), _NO_LIST),
    }


def _parents(field: str) -> list[str]:
    """`a` and `a.b` for `a.b.c`."""
    names = field.split(".")
    return [".".join(names[:depth]) for depth in range(1, len(names))]


def _missing(field: str) -> Filter:
    """Absent or null, where it could be: its parents are documents, or not there either."""
    places: list[Filter] = [
        {"$or": [{parent: None}, {parent: {"$type": "object"}}]} for parent in _parents(field)
    ]
    absent = _of(field, {"$eq": None})
    return {"$and": [absent, *places]} if places else absent


def _equals(value: FieldValue) -> Filter:
    if value.type == "objectid":
        return {"$eq": ObjectId(str(value.value))}
    if value.value is None:
        return {"$type": "null"}
    return {"$eq": value.value}
