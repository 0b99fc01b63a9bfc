"""Mend single values of a record, and leave what would have to be guessed."""

from collections.abc import Iterable
from itertools import permutations
from typing import Annotated, Any, ClassVar, cast

from pydantic import Field, model_validator

from jobs.base import Change, Fail, Job, Quarantine, Record, Update
from jobs.record_job import RecordJob
from jobs.value_repair.repairs import Repair
from jobs.value_repair.values import value_of
from policies.models import Policy, PolicyOptions, RecordOptions
from policies.selectors import AnyOf, Selector


class RepairOptions(RecordOptions):
    """The repairs of one collection; a record is mended in one write."""

    repairs: Annotated[tuple[Repair, ...], Field(min_length=1)]

    @model_validator(mode="after")
    def _do_not_collide(self) -> "RepairOptions":
        for one, other in permutations(self.repairs, 2):
            if (one.field, one.when) == (other.field, other.when):
                raise ValueError(f"{one.field} has two repairs for {one.says}; write one")
            if other.field.startswith(f"{one.field}."):
                raise ValueError(f"{other.field} is part of {one.field}; repair one of them")
            if one.field == other.field and other.matches(one.result):
                raise ValueError(
                    f"what mends {one.field} when {one.says} is {other.says}, which another "
                    "repair of it is after"
                )
        return self

    @property
    def quarantines(self) -> bool:
        return any(repair.quarantine is not None for repair in self.repairs)


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
        """Quarantine takes the record as it is; else all its mended fields are one write."""
        mended: dict[str, Any] = {}
        unset: list[str] = []
        moved: list[Repair] = []
        unread = False
        for repair, value in _due(cast(RepairOptions, policy.options).repairs, record):
            better = repair.mended(value)
            if better is not None:
                mended[repair.field] = better
            elif repair.unset:
                unset.append(repair.field)
            elif repair.quarantine is not None:
                moved.append(repair)
            else:
                unread = True
        if moved:
            keep = max(repair.quarantine.delta for repair in moved if repair.quarantine)
            return Quarantine(tuple(repair.code for repair in moved), keep)
        if mended or unset:
            return Update(mended, tuple(unset))
        return Fail("not_a_date" if unread else "nothing_to_mend")


def _due(repairs: Iterable[Repair], record: Record) -> Iterable[tuple[Repair, Any]]:
    """The repairs that this record needs; of two for one field, the first."""
    due: dict[str, tuple[Repair, Any]] = {}
    for repair in repairs:
        value = value_of(record, repair.field)
        if repair.field not in due and repair.matches(value):
            due[repair.field] = (repair, value)
    return due.values()


job: Job = ValueRepair()
