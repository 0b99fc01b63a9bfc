"""Verify Tend's own audit log, all of it, however long nobody has asked."""

from collections.abc import Iterator, Sequence
from typing import ClassVar, cast

from jobs.base import Item, Outcomes
from jobs.task import CheckContext, PerformContext, TaskContext
from policies.durations import Duration
from policies.errors import TendError
from policies.models import Policy, PolicyOptions, TaskOptions


class VerificationOptions(TaskOptions):
    """How fresh a verification has to be for another one to be left out."""

    again_after: Duration


class AuditVerification:
    """One item: the whole log, unless all of it was found in order a short while ago.

    A log that does not verify fails the run; who is to know it, the engine tells.
    """

    name: ClassVar[str] = "audit_verification"
    Options: ClassVar[type[PolicyOptions]] = VerificationOptions
    security: ClassVar[bool] = True
    mirror_action: ClassVar[str] = "audit_verification"
    mirror_count: ClassVar[str] = "verifiedCount"

    def check(self, ctx: CheckContext, policy: Policy) -> None:
        """It asks nothing of a target."""

    def plan(self, ctx: TaskContext, policy: Policy) -> Iterator[Item]:
        options = cast(VerificationOptions, policy.options)
        age = ctx.audit.verified_ago()
        if age is None or age >= options.again_after.delta:
            seconds = None if age is None else age.total_seconds()
            yield Item("audit log", {"verified_seconds_ago": seconds})

    def perform(self, ctx: PerformContext, policy: Policy, items: Sequence[Item]) -> Outcomes:  # noqa: ARG002 - there is one item
        verdict = ctx.audit.verify()
        if not verdict.is_whole:
            raise TendError(
                f"The audit log does not verify: {verdict.integrity:,} findings against its "
                f"integrity, {verdict.completeness:,} against its completeness; "
                "`tend audit verify --full` lists them, and the runbook says what to do."
            )
        return Outcomes(changed=len(items))


job = AuditVerification()
