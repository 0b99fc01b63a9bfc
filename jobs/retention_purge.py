"""Delete records that have outlived what a retention policy allows."""

from typing import ClassVar, cast

from jobs.base import Change, Delete, Job
from jobs.record_job import RecordJob
from policies.models import Policy, PolicyOptions, SelectOptions
from policies.selectors import Selector


class RetentionPurge(RecordJob):
    """Whatever the policy selects goes."""

    name: ClassVar[str] = "retention_purge"
    always: ClassVar[Change | None] = Delete()
    Options: ClassVar[type[PolicyOptions]] = SelectOptions
    mirror_action: ClassVar[str] = "data_retention_cleanup"
    mirror_count: ClassVar[str] = "deletedCount"

    def wanted(self, policy: Policy) -> Selector:
        return cast(SelectOptions, policy.options).select


job: Job = RetentionPurge()
