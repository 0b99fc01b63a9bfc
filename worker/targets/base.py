"""What the engine asks of a target, whatever database it is."""

from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from jobs.base import Batch as JobBatch
from jobs.base import Item, Outcomes, Reader
from policies.selectors import Selector
from worker.targets.quarantine import Origin
from worker.targets.record_key import identity


@dataclass(frozen=True)
class ArchiveRef:
    """An archive object on record: its name, the SHA-256 of its stored bytes, and their number."""

    name: str
    sha256: str
    size: int


@dataclass(frozen=True)
class BatchRecord:
    """What the fence says one committed batch did to the items `start` to `end` of its chunk."""

    number: int
    start: int
    end: int
    attempt: int
    outcomes: Outcomes
    archive: ArchiveRef

    @property
    def children(self) -> int:
        """How many records went with its items; below zero if it put some back."""
        return self.outcomes.children

    @property
    def is_step(self) -> bool:
        """Whether it did no more than a part of what the next item needs."""
        return self.start == self.end and bool(self.outcomes.cascade)

    @property
    def gives_back(self) -> bool:
        """Whether it put back what an earlier step deleted; it counts that below zero."""
        return self.is_step and not any(count > 0 for count in self.outcomes.cascade.values())


@dataclass(frozen=True)
class RecordOutcome:
    """One record in an archive object: what became of it, with its before-image if it changed.

    `collection` is None for a record of the collection that the policy names.
    """

    key: Any
    outcome: str
    code: str | None = None
    before: Any = None
    written: dict[str, Any] | None = None
    unset: tuple[str, ...] = ()
    label: dict[str, Any] | None = None
    """What its copy in the quarantine bears beside the record, if it was moved there."""
    collection: str | None = None


Place = tuple[str | None, bytes]
"""Which record of all collections: None for the policy's own, and its key."""


def place_of(record: RecordOutcome) -> Place:
    return record.collection, identity(record.key)


@dataclass(frozen=True)
class Images:
    """What one batch is about to do: before-images, what is written, and what is left alone."""

    deleted: Sequence[Any] = ()
    updated: Sequence[tuple[Any, dict[str, Any], tuple[str, ...]]] = ()
    """The before-image, the fields that are written, and the names of those that are removed."""
    quarantined: Sequence[tuple[Any, dict[str, Any]]] = ()
    """The before-image, and the label of its copy."""
    others: Sequence[RecordOutcome] = ()
    children: Mapping[str, Sequence[Any]] = field(default_factory=dict)
    """By collection, what is deleted since it belongs to a record that is."""

    @property
    def leaving(self) -> list[Any]:
        """The before-images of what is then no longer where it was."""
        return [*self.deleted, *(image for image, _ in self.quarantined)]


def why_missed(identity: Any, present: Container[Any], held: Container[Any]) -> str:
    """What became of a planned record that the guarded change did not find."""
    if identity in held:
        return "held"
    return "changed_since" if identity in present else "gone"


Archive = Callable[[Images], ArchiveRef]
"""Writes one batch's images and returns only when they are safe on disk."""


class Batch(JobBatch, Protocol):
    """The open target transaction: what a job may do in it, and what an undo may."""

    def restore(self, records: Sequence[RecordOutcome]) -> Outcomes:
        """Put back what nobody has touched since: `changed` are restored, the rest conflicts."""


class Judge(Protocol):
    """What an undo would do at this moment: it reads, and cannot write."""

    def judge(self, records: Sequence[RecordOutcome]) -> list[RecordOutcome]:
        """`restored`, or `conflict` and why, for each of these records that a run changed.

        A judge that is asked for one run's records, batch by batch, counts with those before.
        """


class Fence(Protocol):
    """The target's own record of one chunk; recovery believes it alone."""

    def __enter__(self) -> "Fence": ...

    def __exit__(self, *_: object) -> None: ...

    def take(self, attempt: int) -> tuple[BatchRecord, ...]:
        """End the attempt before this one, stand in its place and return what was committed.

        Raises `FenceLost` when a newer attempt stands there or the fence is closed.
        """

    def batch(
        self,
        number: int,
        span: tuple[int, int],
        work: Callable[[Batch], Outcomes],
        held: Selector | None = None,
    ) -> BatchRecord:
        """Run `work` in one target transaction that also writes this fence.

        Records that match `held` are under a legal hold: whatever `work` asks for, they stay.

        Raises `FenceLost`, `BatchTooLarge`, `DeadlineExceeded` or `TargetUnreachable`; after
        any of them either nothing was changed or the fence says that it was.
        """


class Look(Protocol):
    """A collection as a person asks about it: bounded in time, and with no way to write."""

    def find(self, values: Sequence[Any], field: str | None = None) -> list[Item]:
        """The whole records whose key, or whose field, is one of these values; at most a few."""

    def matches(self, selector: Selector, as_of: datetime, key: Any) -> bool:
        """Whether the record with this key would be selected at that moment."""


@dataclass(frozen=True)
class Reading:
    """One sign of a target's health, named and measured as the policy's `throttle` limits it.

    Without a value, `detail` says why it cannot be read and what to grant.
    """

    indicator: str
    value: float | None
    detail: str = ""


class Target(Protocol):
    """One database that Tend looks after."""

    name: str

    def close(self) -> None:
        """End its connections."""

    def reader(
        self,
        collection: str,
        as_of: datetime,
        *,
        scan: bool,
        held: Selector | None = None,
        primary: bool = False,
    ) -> Reader:
        """A handle for planning: it cannot write, and refuses to scan unless told.

        It never finds a record that matches `held`.
        """

    def look(self, collection: str) -> Look:
        """A handle for a person's questions, read where plans are read."""

    def check(self, collection: str, selector: Selector, as_of: datetime) -> None:
        """Raise `CollectionMissing` or `IndexMissing` unless the selector can be worked on."""

    def indicators(self) -> tuple[Reading, ...]:
        """Those that this kind of server has, read on the primary within two seconds."""

    def ping(self) -> None:
        """Raise `TargetUnreachable` or `TargetRefused` within seconds, before any long question."""

    def population(self, collection: str) -> int:
        """How many records there are, counted one by one; raises `DeadlineExceeded`."""

    def population_at_least(self, collection: str, enough: int) -> int:
        """Count no further than `enough`; raises `DeadlineExceeded`."""

    def population_now(self, collection: str) -> int:
        """How many records there are by the target's own books: quick, for looking again."""

    def average_size(self, collection: str) -> int:
        """About how many bytes a record has; 0 for an empty collection."""

    def check_quarantine(self, collection: str) -> None:
        """Raise a `TargetError` unless the collection's records can be moved to a quarantine."""

    def count(self, collection: str, selector: Selector, as_of: datetime) -> int:
        """How many records match, read on the primary."""

    def count_of(
        self, collection: str, selector: Selector, as_of: datetime, keys: Sequence[Any]
    ) -> int:
        """How many of these keys match, read on the primary."""

    def reported(self, collection: str, selector: Selector, as_of: datetime) -> dict[str, int]:
        """How many records a `not_in` leaves alone because their key can be no parent's.

        By the reason: `null`, `missing`, `nan`, `type_string` and the like; empty without one.
        """

    def parents(self, collection: str, selector: Selector) -> dict[str, int]:
        """How many records the parent of a `not_in` has by the target's own books, by its name.

        Read on the primary; raises `ParentUnusable` if every child would look like an orphan.
        """

    def fence(
        self,
        name: str,
        collection: str,
        as_of: datetime,
        max_bytes: int,
        archive: Archive,
        origin: Origin | None = None,
    ) -> Fence:
        """The fence of one chunk, by a name that no other chunk ever had.

        A job that moves records to the quarantine needs their `origin`.
        """

    def judge(self, collection: str, as_of: datetime, held: Selector | None = None) -> Judge:
        """A handle for the preview of an undo, which reads the primary and cannot write."""

    def committed(self, name: str) -> tuple[BatchRecord, ...]:
        """What the fence says so far, without closing it."""

    def close_fence(self, name: str) -> tuple[BatchRecord, ...]:
        """Let no further batch of this chunk in; returns what was committed, exactly."""

    def forget(self, prefix: str) -> None:
        """Remove the fences whose name begins so; their run's archive is gone."""

    def ttl_indexes(self, collection: str) -> tuple[str, ...]:
        """Indexes by which the database itself deletes records, whatever holds stand."""

    def mirror(self, document_id: str, action: str, details: dict[str, Any], at: datetime) -> None:
        """Upsert a run's summary into the application's own log."""
