"""Delete sessions that have expired or are no longer active."""

from datetime import datetime, timedelta
from typing import ClassVar, cast

from jobs.base import Change, Delete, Job, Record
from jobs.record_job import RecordJob
from policies.durations import Age
from policies.models import Policy, PolicyOptions, RecordOptions
from policies.selectors import AnyOf, Equals, FieldAge, FieldName, FieldValue, OlderThan, Selector


class SessionOptions(RecordOptions):
    """Where the sessions are, the two fields that end one, and those that say whose it is."""

    expires: FieldName = "expiresAt"
    active: FieldName = "isActive"
    session: FieldName = "sessionId"
    user: FieldName = "userId"
    last_activity: FieldName = "lastActivity"


class SessionCleanup(RecordJob):
    """A session goes when it expired before the plan's moment or when its flag is false."""

    name: ClassVar[str] = "session_cleanup"
    always: ClassVar[Change | None] = Delete()
    Options: ClassVar[type[PolicyOptions]] = SessionOptions
    mirror_action: ClassVar[str] = "session_cleanup"
    mirror_count: ClassVar[str] = "deletedCount"

    def wanted(self, policy: Policy) -> Selector:
        options = cast(SessionOptions, policy.options)
        expired = OlderThan(older_than=FieldAge(field=options.expires, age=Age(0, "s")))
        ended = Equals(equals=FieldValue(field=options.active, value=False))
        return AnyOf(any=(expired, ended))

    def named_by(self, policy: Policy) -> tuple[str, ...]:
        return (cast(SessionOptions, policy.options).session,)

    def describe(self, policy: Policy, record: Record, as_of: datetime) -> Record:
        """What a session debugger tells."""
        options = cast(SessionOptions, policy.options)
        expires = record.get(options.expires)
        left = expires - as_of if isinstance(expires, datetime) else None
        return {
            "session_id": record.get(options.session),
            "user_id": record.get(options.user),
            "active": record.get(options.active),
            "last_activity": record.get(options.last_activity),
            "expires_at": expires,
            "expired": left < timedelta() if left is not None else None,
            "expires_in_seconds": int(left.total_seconds()) if left is not None else None,
        }


job: Job = SessionCleanup()
