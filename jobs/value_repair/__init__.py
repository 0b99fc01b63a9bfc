"""Mend single values of a record, and leave what would have to be guessed."""

from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, cast

from pydantic import Field, model_validator

from jobs.base import Change, Fail, Job, Record, Update
from jobs.record_job import RecordJob
from jobs.value_repair.repairs import NegativeRepair, TextDateRepair
from policies.models import Policy, PolicyOptions, RecordOptions
from policies.selectors import AnyOf, Selector

Repair = Annotated[NegativeRepair | TextDateRepair, Field(discriminator="when")]


class RepairOptions(RecordOptions):
    """The repairs of one collection; a record is mended in one write."""

    repairs: Annotated[tuple[Repair, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _each_once(self) -> "RepairOptions":
        kinds = [(repair.field, repair.when) for repair in self.repairs]
        for field, when in kinds:
            if kinds.count((field, when)) > 1:
                raise ValueError(f"{field} has two repairs for {when}; write one")
        return self


class ValueRepair(RecordJob):
    """Mend what can be mended; text that is no date stays, and the record counts as failed."""

    name: ClassVar[str] = "value_repair"
    Options: ClassVar[type[PolicyOptions]] = RepairOptions
    mirror_action: ClassVar[str] = "data_repair"
    mirror_count: ClassVar[str] = "repairedCount"

    def wanted(self, policy: Policy) -> Selector:
        repairs = cast(RepairOptions, policy.options).repairs
        return AnyOf(any=tuple(repair.condition for repair in repairs))

    def change(self, policy: Policy, record: Record) -> Change:
        mended: dict[str, Any] = {}
        unread = False
        for repair in cast(RepairOptions, policy.options).repairs:
            value = _value(record, repair.field)
            better = repair.mended(value)
            if better is not None:
                mended[repair.field] = better
            elif isinstance(repair, TextDateRepair) and isinstance(value, str):
                unread = True
        if mended:
            return Update(mended)
        return Fail("not_a_date" if unread else "nothing_to_mend")


def _value(record: Record, field: str) -> Any:
    found: Any = record
    for name in field.split("."):
        if not isinstance(found, Mapping):
            return None
        found = found.get(name)
    return found


job: Job = ValueRepair()
