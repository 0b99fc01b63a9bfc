"""The job contract: what the engine asks of a job, and what a job gets from the engine.

A job knows nothing of runs, queues, schedules or audit. It takes the clock, its records and
its logger from the context; it never reads the time, the environment or the broker.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, NamedTuple, Protocol

from policies.models import Policy, PolicyOptions
from policies.selectors import Selector

Record = Mapping[str, Any]


class Item(NamedTuple):
    """One planned record: its key, and the fields that the plan looked at.

    A tuple, because a plan makes hundreds of thousands of them.
    """

    key: Any
    fields: Record


@dataclass(frozen=True)
class Delete:
    """Remove the record."""


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


@dataclass(frozen=True)
class Outcomes:
    """What became of each planned item, in counts that add up to the items given."""

    changed: int = 0
    changed_since: int = 0
    gone: int = 0
    failed: int = 0
    held: int = 0
    uncertain: int = 0

    @property
    def total(self) -> int:
        return (
            self.changed + self.changed_since + self.gone + self.failed + self.held + self.uncertain
        )

    def __add__(self, other: "Outcomes") -> "Outcomes":
        return Outcomes(
            *(mine + theirs for mine, theirs in zip(self.counts, other.counts, strict=True))
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


class Reader(Protocol):
    """A handle that can look and nothing else."""

    def select(self, selector: Selector, fields: Sequence[str]) -> Iterator[Item]:
        """Stream the key and these fields of every record that matches."""


class Batch(Protocol):
    """A handle on the one target transaction that is open for these items."""

    def change(self, items: Sequence[Item], selector: Selector, decide: Decide) -> Outcomes:
        """Archive and then change those of `items` that match `selector` at this moment."""


@dataclass(frozen=True)
class PlanContext:
    """What planning gets: the moment the plan speaks of, and records it can only read."""

    as_of: datetime
    records: Reader


@dataclass(frozen=True)
class ApplyContext:
    """What applying gets: the plan's moment, and the open batch."""

    as_of: datetime
    batch: Batch


class Job(Protocol):
    """How to find what a policy describes and how to change it."""

    name: ClassVar[str]
    Options: ClassVar[type[PolicyOptions]]
    security: ClassVar[bool]
    """Whether the job protects against attackers: a brake for all policies spares it."""
    mirror_action: ClassVar[str]
    """The `action` under which the application's own log shows a finished run."""
    mirror_count: ClassVar[str]
    """The name that log gives to the number of changed records, such as `deletedCount`."""

    def selector(self, policy: Policy) -> Selector:
        """Which records the policy describes, before any narrowing by a person."""

    def fields(self, policy: Policy) -> tuple[str, ...]:
        """The fields that the policy reads or changes; a preview shows these alone."""

    def change(self, policy: Policy, record: Record) -> Change:
        """What to do with one record: the preview and the change ask the same question."""

    def named_by(self, policy: Policy) -> tuple[str, ...]:
        """Fields beside the key by which people name one record, such as a session's id."""

    def describe(self, policy: Policy, record: Record, as_of: datetime) -> Record:
        """What people ask about one record, in facts by name; a preview masks them by that name."""

    def plan(self, ctx: PlanContext, policy: Policy, selector: Selector) -> Iterator[Item]:
        """Find the records, read-only."""

    def apply(
        self, ctx: ApplyContext, policy: Policy, selector: Selector, items: Sequence[Item]
    ) -> Outcomes:
        """Change the items; idempotent, and re-checks the condition where it writes."""
