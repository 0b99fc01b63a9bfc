"""What jobs share that delete or mend records of one collection."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from functools import partial
from typing import ClassVar, cast

from jobs.base import ApplyContext, Change, Item, Outcomes, PlanContext, Reader, Record, Relation
from policies.models import Policy, RecordOptions
from policies.selectors import AllOf, NoneOf, Selector, field_of, leaves


class RecordJob:
    """A job that says which records and what to do with one; the rest is the same for all."""

    security: ClassVar[bool] = False
    always: ClassVar[Change | None] = None

    def wanted(self, policy: Policy) -> Selector:
        """The records the policy is after, before those it protects are taken out."""
        raise NotImplementedError

    def change(self, policy: Policy, record: Record) -> Change:  # noqa: ARG002 - for those it matters to
        if self.always is None:
            raise NotImplementedError
        return self.always

    def selector(self, policy: Policy) -> Selector:
        options = cast(RecordOptions, policy.options)
        wanted = self.wanted(policy)
        if options.unless is None:
            return wanted
        return AllOf(all=(wanted, NoneOf(none=(options.unless,))))

    def is_said_by_selector(self, policy: Policy) -> bool:  # noqa: ARG002 - no policy asks elsewhere
        return True

    def relations(self, policy: Policy) -> tuple[Relation, ...]:  # noqa: ARG002 - most need none
        return ()

    def fields(self, policy: Policy) -> tuple[str, ...]:
        options = cast(RecordOptions, policy.options)
        read = [field_of(leaf) for leaf in leaves(self.selector(policy))]
        dated = [options.dated_by] if options.dated_by else []
        return tuple(dict.fromkeys([*read, *dated]))

    def named_by(self, policy: Policy) -> tuple[str, ...]:  # noqa: ARG002 - by the key alone
        return ()

    def describe(self, policy: Policy, record: Record, as_of: datetime) -> Record:  # noqa: ARG002 - its conditions say all
        return {}

    def check(self, records: Reader, policy: Policy, selector: Selector) -> None:  # noqa: ARG002 - the selector says it all
        records.check(selector)

    def plan(
        self, ctx: PlanContext, policy: Policy, selector: Selector
    ) -> Iterator[Sequence[Item]]:
        return ctx.records.select(selector, self.fields(policy))

    def apply(
        self, ctx: ApplyContext, policy: Policy, selector: Selector, items: Sequence[Item]
    ) -> Outcomes:
        return ctx.batch.change(items, selector, partial(self.change, policy))
