"""Selectors in words, and the moments at which time alone changes what they say of a record."""

import json
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from bson import ObjectId

from policies.selectors import (
    AllOf,
    AnyOf,
    Equals,
    FieldValue,
    IsType,
    LessThan,
    Missing,
    MoreThan,
    NoneOf,
    NotANumber,
    NotIn,
    OlderThan,
    Selector,
    YoungerThan,
    leaves,
)
from worker.targets.mongo_restore import value_at


def in_words(selector: Selector) -> str:  # noqa: C901, PLR0911, PLR0912 - one for each word
    """What a condition asks of a record; of those that have parts, how many must hold."""
    match selector:
        case OlderThan(older_than=what) if what.age.amount == 0:
            return f"{what.field} is a date that has passed"
        case OlderThan(older_than=what):
            return f"{what.field} is a date more than {what.age} ago"
        case YoungerThan(younger_than=what):
            return f"{what.field} is a date no more than {what.age} ago"
        case LessThan(less_than=below):
            return f"{below.field} is a number below {below.value:,}"
        case MoreThan(more_than=bound):
            return f"{bound.field} is a number above {bound.value:,}"
        case NotANumber(not_a_number=only):
            return f"{only.field} holds one value that is no number"
        case Missing(missing=only):
            return f"{only.field} is absent or null"
        case IsType(is_type=kind):
            return f"{kind.field} holds {kind.type}"
        case Equals(equals=wanted):
            return f"{wanted.field} is {_literal(wanted)}"
        case NotIn(not_in=parent):
            return f"{parent.field} is the {parent.key} of nothing in {parent.parent}"
        case AnyOf():
            return "at least one of these"
        case AllOf():
            return "each of these"
        case NoneOf():
            return "none of these"


def parts_of(selector: Selector) -> tuple[Selector, ...]:
    match selector:
        case AnyOf(any=parts) | AllOf(all=parts) | NoneOf(none=parts):
            return parts
        case _:
            return ()


def turns_at(selector: Selector, record: Mapping[str, Any]) -> datetime | None:
    """Up to when a condition on a date holds, or does not; None if time does not decide it."""
    match selector:
        case OlderThan(older_than=what) | YoungerThan(younger_than=what):
            value = value_at(record, what.field)
            if what.field == "_id" and isinstance(value, ObjectId):
                value = value.generation_time + timedelta(seconds=1)  # it knows whole seconds
            return what.age.after(value) if isinstance(value, datetime) else None
        case _:
            return None


def turning_points(selector: Selector, record: Mapping[str, Any]) -> Iterator[datetime]:
    """Every moment at which the selector may begin, or cease, to match this record."""
    for leaf in leaves(selector):
        moment = turns_at(leaf, record)
        if moment is not None:
            yield moment


def _literal(wanted: FieldValue) -> str:
    if wanted.type == "objectid":
        return f"the ObjectId {wanted.value}"
    return json.dumps(wanted.value, ensure_ascii=False)
