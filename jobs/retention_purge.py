"""Delete records that have outlived what a retention policy allows."""

from typing import ClassVar, cast

from jobs.base import Change, Delete, Job, Record
from jobs.record_job import RecordJob
from policies.models import Policy, PolicyOptions, SelectOptions
from policies.selectors import Selector


class RetentionPurge(RecordJob):
    """Whatever the policy selects goes."""

    name: ClassVar[str] = "retention_purge"
    Options: ClassVar[type[PolicyOptions]] = SelectOptions
    mirror_action: ClassVar[str] = "data_retention_cleanup"
    mirror_count: ClassVar[str] = "deletedCount"

    def wanted(self, policy: Policy) -> Selector:
        return cast(SelectOptions, policy.options).select

    def change(self, policy: Policy, record: Record) -> Change:  # noqa: ARG002 - every one goes
        return Delete()


job: Job = RetentionPurge()
