"""The job contract: what the engine asks of a job, and what a job gets from the engine.

A job knows nothing of runs, queues, schedules or audit. It takes the clock, its records and
its logger from the context; it never reads the time, the environment or the broker.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from types import MappingProxyType
from typing import Any, ClassVar, NamedTuple, Protocol

from policies.models import Policy, PolicyOptions
from policies.selectors import Selector

Record = Mapping[str, Any]
Held = Mapping[str, Selector]
"""By collection beside the policy's own, what is under a hold and keeps what it belongs to."""
NONE: Mapping[str, int] = MappingProxyType({})


class Relation(NamedTuple):
    """Records of another collection that belong to a planned one: their field `key` holds its key.

    Where a relation is asked for its newest record, `dated` is the date that says which.
    """

    collection: str
    key: str
    dated: str | None = None


class Item(NamedTuple):
    """One planned record: its key, and the fields that the plan looked at.

    `children` counts by collection the records that go with it. A tuple, because a plan makes
    hundreds of thousands of them.
    """

    key: Any
    fields: Record
    children: Mapping[str, int] = NONE


@dataclass(frozen=True)
class Delete:
    """Remove the record."""


@dataclass(frozen=True)
class Keep:
    """Leave the record: it no longer is what the plan was after."""


@dataclass(frozen=True)
class Update:
    """Set these fields of the record, remove those that are `unset`, and touch no others."""

    fields: Record
    unset: tuple[str, ...] = ()


@dataclass(frozen=True)
class Quarantine:
    """Move the record to its collection's quarantine, with the codes that say why."""

    codes: tuple[str, ...]
    keep: timedelta
    """How long it is kept there."""


@dataclass(frozen=True)
class Fail:
    """Leave the record as it is and say why; `code` holds no data of the record."""

    code: str


Change = Delete | Update | Quarantine | Fail
Decide = Callable[[Record], Change]
DecideTree = Callable[[Item, Record], Delete | Fail | Keep]
"""Asked with the item as it was given and with its record as it stands."""


@dataclass(frozen=True)
class Outcomes:
    """What became of each planned item, in counts that add up to the items given.

    `cascade` counts apart, by collection, the records that went with them. `left` items at the
    end were not come to, since the records that go with them did not fit; they are given again.
    """

    changed: int = 0
    changed_since: int = 0
    gone: int = 0
    failed: int = 0
    held: int = 0
    uncertain: int = 0
    cascade: Mapping[str, int] = field(default_factory=dict, kw_only=True)
    left: int = field(default=0, kw_only=True)

    @property
    def total(self) -> int:
        return (
            self.changed + self.changed_since + self.gone + self.failed + self.held + self.uncertain
        )

    @property
    def children(self) -> int:
        """The sum of `cascade`."""
        return sum(self.cascade.values())

    def __add__(self, other: "Outcomes") -> "Outcomes":
        return Outcomes(
            *(mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True)),
            cascade=added(self.cascade, other.cascade),
        )

    @property
    def counts(self) -> tuple[int, ...]:
        return (
            self.changed,
            self.changed_since,
            self.gone,
            self.failed,
            self.held,
            self.uncertain,
        )


def added(one: Mapping[str, int], other: Mapping[str, int]) -> dict[str, int]:
    """Counts by collection, in the order in which the collections were met."""
    return {name: one.get(name, 0) + other.get(name, 0) for name in [*one, *other]}


class Newest(NamedTuple):
    """The newest date among a record's relations, if any has one, and whether all can be read."""

    moment: datetime | None
    is_certain: bool


class Reader(Protocol):
    """A handle that can look and nothing else."""

    def check(self, selector: Selector) -> None:
        """Raise unless the collection is there and an index serves this selector."""

    def select(self, selector: Selector, fields: Sequence[str]) -> Iterator[Sequence[Item]]:
        """Stream the key and these fields of every record that matches, by the page."""


class Related(Protocol):
    """Looks at the records that belong to others; refuses to without an index on their `key`."""

    def check_related(self, relations: Sequence[Relation]) -> None:
        """Raise unless each of these collections is there, with the index it needs."""

    def newest(self, relation: Relation, keys: Sequence[Any]) -> Sequence[Newest]:
        """The newest date for each of these keys, in their order."""

    def match(self, relation: Relation, keys: Sequence[Any], selector: Selector) -> Sequence[bool]:
        """For each of these keys, whether a record that belongs to it matches."""


class RelatedReader(Reader, Related, Protocol):
    """What planning gets beside a reader where the target has it."""

    def check_exists(self) -> None:
        """Raise unless the collection is there."""

    def walk(self, selector: Selector, fields: Sequence[str]) -> Iterator[Sequence[Item]]:
        """Every record that matches, a page at a time in the order of the keys: needs no index."""

    def count_related(self, relation: Relation, keys: Sequence[Any]) -> Sequence[int]:
        """How many records belong to each of these keys, in their order."""


class Batch(Protocol):
    """A handle on the one target transaction that is open for these items."""

    def change(self, items: Sequence[Item], selector: Selector, decide: Decide) -> Outcomes:
        """Archive and then change those of `items` that match `selector` at this moment."""


class TreeBatch(Batch, Related, Protocol):
    """A batch that can delete, with a record, what belongs to it in other collections."""

    def delete_trees(
        self,
        items: Sequence[Item],
        selector: Selector,
        decide: DecideTree,
        relations: Sequence[Relation],
        held: Held,
        most: int,
    ) -> Outcomes:
        """Archive and then delete those of `items` that still match, after what belongs to them.

        An item stays if any record that belongs to it is under a hold. At most `most` records
        go, children first. Items that no longer fit are `left`; of a first item that does not
        fit by itself as many children go as do, and it is `left` too.
        """


@dataclass(frozen=True)
class PlanContext:
    """What planning gets: the moment the plan speaks of, and records it can only read."""

    as_of: datetime
    records: Reader
    held: Held = field(default_factory=dict)


@dataclass(frozen=True)
class ApplyContext:
    """What applying gets: the plan's moment, the open batch, and how much it may touch."""

    as_of: datetime
    batch: Batch
    most: int
    """Records that the batch may change, with all that belongs to them."""
    held: Held = field(default_factory=dict)
    begun: bool = False
    """Whether records that belong to the first item are gone already, by this very run."""


class Job(Protocol):
    """How to find what a policy describes and how to change it."""

    name: ClassVar[str]
    Options: ClassVar[type[PolicyOptions]]
    security: ClassVar[bool]
    """Whether the job protects against attackers: a brake for all policies spares it."""
    always: ClassVar[Change | None]
    """What `change` answers whatever the record; None if it depends on that."""
    mirror_action: ClassVar[str]
    """The `action` under which the application's own log shows a finished run."""
    mirror_count: ClassVar[str]
    """The name that log gives to the number of changed records, such as `deletedCount`."""

    def selector(self, policy: Policy) -> Selector:
        """Which records the policy describes, before any narrowing by a person."""

    def is_said_by_selector(self, policy: Policy) -> bool:
        """Whether that selector says it all, so that counting it counts what the policy finds."""

    def relations(self, policy: Policy) -> tuple[Relation, ...]:
        """What it asks of other collections about the records; each needs an index there."""

    def fields(self, policy: Policy) -> tuple[str, ...]:
        """The fields that the policy reads or changes; a preview shows these alone."""

    def change(self, policy: Policy, record: Record) -> Change:
        """What to do with one record: the preview and the change ask the same question."""

    def named_by(self, policy: Policy) -> tuple[str, ...]:
        """Fields beside the key by which people name one record, such as a session's id."""

    def describe(self, policy: Policy, record: Record, as_of: datetime) -> Record:
        """What people ask about one record, in facts by name; a preview masks them by that name."""

    def check(self, records: Reader, policy: Policy, selector: Selector) -> None:
        """Raise unless the target has what the policy needs: its collections and indexes."""

    def plan(
        self, ctx: PlanContext, policy: Policy, selector: Selector
    ) -> Iterator[Sequence[Item]]:
        """Find the records, read-only, in pages of any size."""

    def apply(
        self, ctx: ApplyContext, policy: Policy, selector: Selector, items: Sequence[Item]
    ) -> Outcomes:
        """Change the items; idempotent, and re-checks the condition where it writes.

        What a run deleted of an item that is left in the end is put back by the engine.
        """
