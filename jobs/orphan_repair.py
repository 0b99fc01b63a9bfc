"""Delete records whose parent does not exist."""

from typing import ClassVar, cast

from pydantic import Field, model_validator

from jobs.base import Change, Delete, Job
from jobs.record_job import RecordJob
from policies.durations import Duration
from policies.models import Policy, PolicyOptions, RecordOptions
from policies.selectors import (
    AllOf,
    AnyOf,
    CollectionName,
    FieldAge,
    FieldName,
    FieldParent,
    FieldType,
    IsType,
    NoneOf,
    NotIn,
    OlderThan,
    Selector,
)


class OrphanOptions(RecordOptions):
    """Which field names the parent, where the parents are, and how young an orphan is left."""

    field: FieldName
    parent: CollectionName
    key: FieldName = "_id"
    min_age: Duration = Field(default="1h", validate_default=True)

    @model_validator(mode="after")
    def _knows_the_age(self) -> "OrphanOptions":
        if self.target == "sql" and self.dated_by is None:
            raise ValueError("name a date in dated_by: a key of SQL does not say how old a row is")
        return self


class OrphanRepair(RecordJob):
    """An orphan goes when it is older than `min_age`: its parent may be about to be written.

    Its age is that of the date in `dated_by`, else of the ObjectId in `_id`; one without either
    stays.
    """

    name: ClassVar[str] = "orphan_repair"
    always: ClassVar[Change | None] = Delete()
    Options: ClassVar[type[PolicyOptions]] = OrphanOptions
    mirror_action: ClassVar[str] = "orphan_cleanup"
    mirror_count: ClassVar[str] = "deletedCount"

    def wanted(self, policy: Policy) -> Selector:
        options = cast(OrphanOptions, policy.options)
        parent = FieldParent(field=options.field, parent=options.parent, key=options.key)
        return AllOf(all=(NotIn(not_in=parent), _old_enough(options)))


def _old_enough(options: OrphanOptions) -> Selector:
    by_id = OlderThan(older_than=FieldAge(field="_id", age=options.min_age))
    if options.dated_by is None:
        return by_id
    by_date = OlderThan(older_than=FieldAge(field=options.dated_by, age=options.min_age))
    if options.target == "sql":
        return by_date
    has_date = IsType(is_type=FieldType(field=options.dated_by, type="date"))
    return AnyOf(any=(by_date, AllOf(all=(NoneOf(none=(has_date,)), by_id))))


job: Job = OrphanRepair()
