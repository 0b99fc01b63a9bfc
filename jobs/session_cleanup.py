"""Delete sessions that have expired or are no longer active."""

from typing import ClassVar, cast

from jobs.base import Change, Delete, Job, Record
from jobs.record_job import RecordJob
from policies.durations import Age
from policies.models import Policy, PolicyOptions, RecordOptions
from policies.selectors import AnyOf, Equals, FieldAge, FieldName, FieldValue, OlderThan, Selector


class SessionOptions(RecordOptions):
    """Where the sessions are, and the two fields that end one."""

    expires: FieldName = "expiresAt"
    active: FieldName = "isActive"


class SessionCleanup(RecordJob):
    """A session goes when it expired before the plan's moment or when its flag is false."""

    name: ClassVar[str] = "session_cleanup"
    Options: ClassVar[type[PolicyOptions]] = SessionOptions
    mirror_action: ClassVar[str] = "session_cleanup"
    mirror_count: ClassVar[str] = "deletedCount"

    def wanted(self, policy: Policy) -> Selector:
        options = cast(SessionOptions, policy.options)
        expired = OlderThan(older_than=FieldAge(field=options.expires, age=Age(0, "s")))
        ended = Equals(equals=FieldValue(field=options.active, value=False))
        return AnyOf(any=(expired, ended))

    def change(self, policy: Policy, record: Record) -> Change:  # noqa: ARG002 - every one goes
        return Delete()


job: Job = SessionCleanup()
