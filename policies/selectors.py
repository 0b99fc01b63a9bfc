"""The selector: which records a policy describes, in words that every target can compile."""

import re
from collections.abc import Iterator
from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictInt,
    Tag,
    model_validator,
)

from policies.durations import CalendarAge

FieldName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z0-9_]+)*$")]
CollectionName = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_.-]*$")]
Number = (
    Annotated[StrictInt, Field(ge=-(2**63), lt=2**63)]
    | Annotated[float, Field(strict=True, allow_inf_nan=False)]
)
"""What every target can compare: a whole number beyond 64 bits becomes a floating-point one."""


class Vocabulary(BaseModel):
    """A word of a policy: frozen, and deaf to words it does not know."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class FieldAge(Vocabulary):
    field: FieldName
    age: CalendarAge


class FieldNumber(Vocabulary):
    field: FieldName
    value: Number


class FieldOnly(Vocabulary):
    field: FieldName


class FieldType(Vocabulary):
    field: FieldName
    type: Literal["text", "date"]


class FieldParent(Vocabulary):
    field: FieldName
    parent: CollectionName
    key: FieldName = "_id"


class FieldValue(Vocabulary):
    field: FieldName
    value: StrictBool | Number | str | None
    type: Literal["objectid"] | None = None

    @model_validator(mode="after")
    def _is_an_objectid(self) -> "FieldValue":
        text = self.value if isinstance(self.value, str) else ""
        if self.type == "objectid" and not re.fullmatch("[0-9a-fA-F]{24}", text):
            raise ValueError("the value of an ObjectId has 24 digits from 0 to f, in quotes")
        return self


class OlderThan(Vocabulary):
    """A date field that lies more than `age` before the plan's moment; text is no date.

    In MongoDB an ObjectId in `_id` is the date it was made at.
    """

    older_than: FieldAge


class YoungerThan(Vocabulary):
    """A date field that lies `age` before the plan's moment or later; text is no date."""

    younger_than: FieldAge


class LessThan(Vocabulary):
    """A number below `value`; NaN, text and lists are not."""

    less_than: FieldNumber


class MoreThan(Vocabulary):
    """A number above `value`; NaN, text and lists are not."""

    more_than: FieldNumber


class NotANumber(Vocabulary):
    """A field with one value that is no number: NaN, or of another type."""

    not_a_number: FieldOnly


class Missing(Vocabulary):
    """A field that is absent or null."""

    missing: FieldOnly


class IsType(Vocabulary):
    """A field that holds a value of this type."""

    is_type: FieldType


class Equals(Vocabulary):
    """A field that is present and equal; `type: objectid` reads the text as an ObjectId."""

    equals: FieldValue


class NotIn(Vocabulary):
    """A key whose parent does not exist, though a parent has a key of its type."""

    not_in: FieldParent


def _alone(selector: "Selector") -> "Selector":
    if parent_of(selector) is not None:
        raise ValueError("not_in stands alone or in `all`, in the selector of what a policy wants")
    return selector


def _one_parent(selectors: tuple["Selector", ...]) -> tuple["Selector", ...]:
    if sum(parent_of(part) is not None for part in selectors) > 1:
        raise ValueError("a selector has one not_in; write a policy for each parent")
    return selectors


class AnyOf(Vocabulary):
    any: Annotated[tuple["LocalSelector", ...], Field(min_length=1)]


class AllOf(Vocabulary):
    all: Annotated[tuple["Selector", ...], Field(min_length=1), AfterValidator(_one_parent)]


class NoneOf(Vocabulary):
    """What `unless` becomes: records that match one of these are left alone."""

    none: Annotated[tuple["LocalSelector", ...], Field(min_length=1)]


Local = OlderThan | YoungerThan | LessThan | MoreThan | NotANumber | Missing | IsType | Equals
"""A condition on the record itself."""
Leaf = Local | NotIn

_WORDS = (
    "older_than",
    "younger_than",
    "less_than",
    "more_than",
    "not_a_number",
    "missing",
    "is_type",
    "equals",
    "not_in",
    "any",
    "all",
    "none",
)


def _word(value: Any) -> str | None:
    if isinstance(value, BaseModel):
        return next(iter(type(value).model_fields))
    keys = list(value) if isinstance(value, dict) else []
    return keys[0] if len(keys) == 1 and keys[0] in _WORDS else None


Selector = Annotated[
    Annotated[OlderThan, Tag("older_than")]
    | Annotated[YoungerThan, Tag("younger_than")]
    | Annotated[LessThan, Tag("less_than")]
    | Annotated[MoreThan, Tag("more_than")]
    | Annotated[NotANumber, Tag("not_a_number")]
    | Annotated[Missing, Tag("missing")]
    | Annotated[IsType, Tag("is_type")]
    | Annotated[Equals, Tag("equals")]
    | Annotated[NotIn, Tag("not_in")]
    | Annotated[AnyOf, Tag("any")]
    | Annotated[AllOf, Tag("all")]
    | Annotated[NoneOf, Tag("none")],
    Discriminator(
        _word,
        custom_error_type="selector",
        custom_error_message=f"a selector is one of {', '.join(_WORDS)}",
    ),
]

LocalSelector = Annotated[Selector, AfterValidator(_alone)]
"""A selector that looks at nothing but the record itself."""

for _model in (AnyOf, AllOf, NoneOf):
    _model.model_rebuild()


def leaves(selector: Selector) -> Iterator[Leaf]:
    """Every condition in a selector, in the order in which it is written."""
    match selector:
        case AnyOf(any=parts) | AllOf(all=parts) | NoneOf(none=parts):
            for part in parts:
                yield from leaves(part)
        case _:
            yield selector


def field_of(leaf: Leaf) -> str:
    match leaf:
        case OlderThan(older_than=what) | YoungerThan(younger_than=what):
            return what.field
        case LessThan(less_than=bound) | MoreThan(more_than=bound):
            return bound.field
        case NotANumber(not_a_number=what) | Missing(missing=what):
            return what.field
        case IsType(is_type=kind):
            return kind.field
        case Equals(equals=value):
            return value.field
        case NotIn(not_in=parent):
            return parent.field


def parent_of(selector: Selector) -> FieldParent | None:
    """The `not_in` of a selector: which field must find its record in which collection."""
    found = (leaf.not_in for leaf in leaves(selector) if isinstance(leaf, NotIn))
    return next(found, None)


def beside_parent(selector: Selector) -> list[Selector]:
    """What else a selector with a `not_in` asks of a record."""
    match selector:
        case NotIn():
            return []
        case AllOf(all=parts):
            return [each for part in parts for each in beside_parent(part)]
        case _:
            return [selector]


def cutoffs(selector: Selector, as_of: datetime) -> dict[str, datetime]:
    """The absolute moment behind each age, by field; where a field has two, the latest."""
    found: dict[str, datetime] = {}
    for leaf in leaves(selector):
        match leaf:
            case OlderThan(older_than=what) | YoungerThan(younger_than=what):
                moment = what.age.before(as_of)
                found[what.field] = max(moment, found.get(what.field, moment))
    return found
