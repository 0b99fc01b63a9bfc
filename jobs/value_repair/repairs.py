"""A repair: one field, what may be wrong with its value, and what to do then."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo

from pydantic import (
    Field,
    SerializerFunctionWrapHandler,
    StrictBool,
    model_serializer,
    model_validator,
)

from jobs.value_repair.dates import DateFormat, read_date
from jobs.value_repair.values import NO_PLACE, is_not_a_number, number
from policies.durations import Duration
from policies.selectors import (
    Equals,
    FieldName,
    FieldNumber,
    FieldOnly,
    FieldType,
    FieldValue,
    IsType,
    LessThan,
    Missing,
    MoreThan,
    NotANumber,
    Number,
    Selector,
    Vocabulary,
)

_ACTIONS = {
    "negative": ("set", "unset", "quarantine"),
    "zero": ("set", "unset", "quarantine"),
    "above": ("set", "unset", "quarantine"),
    "not_a_number": ("set", "unset", "quarantine"),
    "missing": ("set", "quarantine"),
    "text_date": ("parse", "unset", "quarantine"),
}


class Above(Vocabulary):
    """A number above this one."""

    above: Number


class Repair(Vocabulary):
    """Whatever `when` finds in the field is set, parsed, unset, or its record quarantined."""

    field: FieldName
    when: Literal["negative", "zero", "missing", "not_a_number", "text_date"] | Above
    set: StrictBool | Number | str | None = None
    parse: Annotated[tuple[DateFormat, ...], Field(min_length=1)] | None = None
    timezone: ZoneInfo = ZoneInfo("UTC")
    unset: Literal[True] | None = None
    quarantine: Duration | None = None
    """How long the record is kept in the quarantine."""

    @model_validator(mode="after")
    def _can_be_done(self) -> "Repair":
        given = [name for name in ("set", "parse", "unset", "quarantine") if self._gives(name)]
        for name in given:
            if name not in _ACTIONS[self.kind]:
                fitting = ", ".join(_ACTIONS[self.kind])
                raise ValueError(f"{name} does not go with {self.kind}; choose from: {fitting}")
        if len([name for name in given if name != "parse"]) > 1 or not given:
            choices = ", ".join(_ACTIONS[self.kind])
            raise ValueError(f"write one thing to do with {self.kind}: {choices}")
        if "timezone" in self.model_fields_set and self.parse is None:
            raise ValueError("timezone is for parse alone")
        if self.field == "_id" and given != ["quarantine"]:
            raise ValueError("the key of a record stays as it is; write quarantine")
        if self.set is not None and self.kind != "missing" and number(self.set) is None:
            raise ValueError(f"set for {self.kind} must be a number")
        if self.matches(self.result):
            raise ValueError(f"set is itself {self.says}, and would be mended again and again")
        return self

    @model_serializer(mode="wrap")
    def _as_written(self, serialize: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """Only what was said: most keys do not go with most kinds."""
        said = {key: value for key, value in serialize(self).items() if value is not None}
        return {key: value for key, value in said.items() if key != "timezone" or self.parse}

    def _gives(self, action: str) -> bool:
        return getattr(self, action) is not None

    @property
    def kind(self) -> str:
        return "above" if isinstance(self.when, Above) else self.when

    @property
    def says(self) -> str:
        """What `when` says, as it is written."""
        return f"above {self.when.above}" if isinstance(self.when, Above) else self.when

    @property
    def code(self) -> str:
        """The reason that a quarantined record bears."""
        return f"{self.field}:{self.kind}"

    @property
    def result(self) -> Any:
        """A value such as the repair leaves in the field; `NO_PLACE` when its record is moved."""
        if self.parse is not None:
            return datetime(2000, 1, 1, tzinfo=UTC)
        return NO_PLACE if self.set is None and not self.unset else self.set

    @property
    def condition(self) -> Selector:
        """What the target is asked; `matches` says the same of one value."""
        field = self.field
        match self.when:
            case "negative":
                return LessThan(less_than=FieldNumber(field=field, value=0))
            case "zero":
                return Equals(equals=FieldValue(field=field, value=0))
            case "missing":
                return Missing(missing=FieldOnly(field=field))
            case "not_a_number":
                return NotANumber(not_a_number=FieldOnly(field=field))
            case "text_date":
                return IsType(is_type=FieldType(field=field, type="text"))
            case Above(above=bound):
                return MoreThan(more_than=FieldNumber(field=field, value=bound))

    def matches(self, value: Any) -> bool:
        """Whether this is a value that the repair is after."""
        found = number(value)
        match self.when:
            case "negative":
                return found is not None and found < 0
            case "zero":
                return found is not None and found == 0
            case "missing":
                return value is None
            case "not_a_number":
                return is_not_a_number(value)
            case "text_date":
                return type(value) is str  # JavaScript code is a str to the driver, and no text
            case Above(above=bound):
                return found is not None and found > bound

    def mended(self, value: Any) -> Any:
        """What the field becomes; None if it is not set but unset, quarantined, or unreadable."""
        if self.parse is not None:
            return read_date(value, self.parse, self.timezone)
        return self.set
