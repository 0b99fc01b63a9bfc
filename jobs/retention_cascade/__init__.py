"""Delete accounts that nobody uses any more, after everything that belongs to them."""

from collections.abc import Iterator, Sequence
from functools import partial
from itertools import chain, islice
from typing import ClassVar, cast

from jobs.base import (
    ApplyContext,
    Change,
    Delete,
    Fail,
    Item,
    Job,
    Keep,
    Newest,
    Outcomes,
    PlanContext,
    Reader,
    Record,
    RelatedReader,
    Relation,
    TreeBatch,
)
from jobs.record_job import RecordJob
from jobs.retention_cascade.life import UNREADABLE, judge, signs_elsewhere
from jobs.retention_cascade.options import CascadeOptions
from policies.models import Policy, PolicyOptions
from policies.selectors import AllOf, FieldAge, NoneOf, Selector, YoungerThan

PAGE = 1_000
SEEN = "last sign of life"
"""Among an item's fields, what planning found out about it; no field of a policy has spaces."""


class RetentionCascade(RecordJob):
    """What is selected, and inactive if the policy asks, goes with all that belongs to it."""

    name: ClassVar[str] = "retention_cascade"
    Options: ClassVar[type[PolicyOptions]] = CascadeOptions
    mirror_action: ClassVar[str] = "data_retention_cleanup"
    mirror_count: ClassVar[str] = "deletedCount"

    def wanted(self, policy: Policy) -> Selector:
        """What the account itself says; what speaks for it elsewhere is asked afterwards."""
        options = _options(policy)
        parts = [] if options.select is None else [options.select]
        if options.inactive is not None:
            age = options.inactive.age
            parts += [
                NoneOf(none=(YoungerThan(younger_than=FieldAge(field=name, age=age)),))
                for name in options.inactive.own
            ]
        return AllOf(all=tuple(parts)) if len(parts) > 1 else parts[0]

    def is_said_by_selector(self, policy: Policy) -> bool:
        return _options(policy).inactive is None

    def relations(self, policy: Policy) -> tuple[Relation, ...]:
        options = _options(policy)
        signs = options.inactive.relations if options.inactive is not None else ()
        return (*signs, *(child.relation for child in options.children))

    def fields(self, policy: Policy) -> tuple[str, ...]:
        inactive = _options(policy).inactive
        read = (*inactive.own, inactive.created) if inactive is not None else ()
        return tuple(dict.fromkeys([*super().fields(policy), *read]))

    def change(self, policy: Policy, record: Record) -> Change:  # noqa: ARG002 - the plan judged it
        return Fail(UNREADABLE) if record.get(SEEN) == UNREADABLE else Delete()

    def check(self, records: Reader, policy: Policy, selector: Selector) -> None:
        options = _options(policy)
        related = cast(RelatedReader, records)
        if options.select is None:
            related.check_exists()
        else:
            related.check(selector)
        related.check_related(self.relations(policy))

    def plan(
        self, ctx: PlanContext, policy: Policy, selector: Selector
    ) -> Iterator[Sequence[Item]]:
        records = cast(RelatedReader, ctx.records)
        records.check_related(self.relations(policy))
        for page in self._pages(records, policy, selector):
            due = self._free(ctx, policy, self._due(ctx, policy, page))
            yield list(self._counted(records, policy, due))

    def apply(
        self, ctx: ApplyContext, policy: Policy, selector: Selector, items: Sequence[Item]
    ) -> Outcomes:
        options = _options(policy)
        batch = cast(TreeBatch, ctx.batch)
        found = items
        if options.inactive is not None:
            cutoff = options.inactive.age.before(ctx.as_of)
            keys = [item.key for item in items]
            signs = signs_elsewhere(batch, options.inactive.relations, keys, cutoff)
            found = [Item(key, {SEEN: sign}) for key, sign in zip(keys, signs, strict=True)]
        decide = partial(self._decide_again, ctx, policy)
        children = [child.relation for child in options.children]
        return batch.delete_trees(found, selector, decide, children, ctx.held, ctx.most)

    def _pages(
        self, records: RelatedReader, policy: Policy, selector: Selector
    ) -> Iterator[Sequence[Item]]:
        """Who is inactive by its own dates is no small part, so every account is walked by."""
        fields = self.fields(policy)
        if _options(policy).select is None:
            yield from records.walk(selector, fields)
            return
        selected = chain.from_iterable(records.select(selector, fields))
        while page := list(islice(selected, PAGE)):
            yield page

    def _due(self, ctx: PlanContext, policy: Policy, page: Sequence[Item]) -> list[Item]:
        """Those of a page that nothing speaks for, with what was found out about them."""
        inactive = _options(policy).inactive
        if inactive is None:
            return list(page)
        cutoff = inactive.age.before(ctx.as_of)
        keys = [item.key for item in page]
        related = cast(RelatedReader, ctx.records)
        signs = signs_elsewhere(related, inactive.relations, keys, cutoff)
        due = []
        for item, sign in zip(page, signs, strict=True):
            verdict = judge(item.key, item.fields, inactive, sign, ctx.as_of)
            if not isinstance(verdict.change, Keep):
                seen = UNREADABLE if isinstance(verdict.change, Fail) else verdict.seen
                due.append(Item(item.key, {**item.fields, SEEN: seen}))
        return due

    def _free(self, ctx: PlanContext, policy: Policy, due: Sequence[Item]) -> Sequence[Item]:
        """Those to which nothing belongs that is under a legal hold."""
        records = cast(RelatedReader, ctx.records)
        for child in _options(policy).children:
            if child.collection in ctx.held:
                keys = [item.key for item in due]
                held = records.match(child.relation, keys, ctx.held[child.collection])
                due = [item for item, is_held in zip(due, held, strict=True) if not is_held]
        return due

    def _counted(
        self, records: RelatedReader, policy: Policy, due: Sequence[Item]
    ) -> Iterator[Item]:
        """The items with how many records go with each; with one that must stay go none."""
        keys = [item.key for item in due]
        counts = {
            child.collection: records.count_related(child.relation, keys)
            for child in _options(policy).children
        }
        for place, item in enumerate(due):
            goes = item.fields.get(SEEN) != UNREADABLE
            children = {
                name: count[place] for name, count in counts.items() if goes and count[place]
            }
            yield item._replace(children=children)

    def _decide_again(
        self, ctx: ApplyContext, policy: Policy, item: Item, record: Record
    ) -> Delete | Fail | Keep:
        inactive = _options(policy).inactive
        if inactive is None:
            return Delete()
        sign: Newest = item.fields[SEEN]
        return judge(item.key, record, inactive, sign, ctx.as_of, begun=ctx.begun).change


def _options(policy: Policy) -> CascadeOptions:
    return cast(CascadeOptions, policy.options)


job: Job = RetentionCascade()
