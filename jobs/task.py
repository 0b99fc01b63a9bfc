"""The contract of task jobs: those whose work is not a set of records to delete or mend.

A task plans items, a person may read them, and a worker performs them. The engine gives it
everything that record jobs have but a fence in a target and an archive: so what it writes is
guarded by its own condition, doing it again changes nothing, and `undo` is `none`.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar, Protocol

from pymongo.client_session import ClientSession
from pymongo.database import Database
from redis import Redis
from sqlalchemy import Connection
from sqlalchemy.orm import Session

from jobs.base import Item, Outcomes, Record
from policies.models import Policy, PolicyOptions


@dataclass(frozen=True)
class Notice:
    """What people outside of Tend are told; of one `cause` they are told once."""

    cause: str
    text: str
    urgent: bool = False


@dataclass(frozen=True)
class Alert:
    """A trouble that lasts until it is cleared; of one `cause` there is one. It names no person."""

    event: str
    """A name in the table of `docs/alerts.md`, which decides how soon somebody must answer."""
    cause: str
    """What exactly, in 128 letters at most, such as `pos/17`."""
    text: str
    """What happened, in a sentence."""
    next: str = ""
    """The next command, if it is not that of the table."""
    unaffected: str = ""
    """What goes on all the same, if it is not that of the table."""
    severity: str = ""
    """P0 to P3, if it is not that of the table."""


@dataclass(frozen=True)
class Measurement:
    """One value of a metric, as a family's `signals.py` may bring them."""

    name: str
    says: str
    value: float
    labels: Mapping[str, str]


class State(Protocol):
    """The family's own tables in the control database."""

    def transaction(self) -> AbstractContextManager[Session]:
        """One short transaction: committed at its end, rolled back on any error."""

    def notify(self, session: Session, notice: Notice) -> None:
        """Queue a notice in the transaction of what it announces; no channel is asked here."""

    def raise_alert(self, session: Session, alert: Alert) -> bool:
        """Let an alert stand, in the transaction of what it is about; False if it stands already.

        People are told at first, each day while it lasts, and when it is over.
        """

    def clear_alert(self, session: Session, cause: str) -> bool:
        """End the alert of this cause; False if none stands."""

    def record(self, session: Session, action: str, detail: Mapping[str, Any]) -> None:
        """The entry of what was done, in its transaction; `detail` names no person, no address."""


class Vault(Protocol):
    """Seals what a family keeps about people, with a key that no other family has."""

    def seal(self, plain: bytes, name: str) -> bytes:
        """Compress and encrypt; the result opens only under the same `name`."""

    def open(self, sealed: bytes, name: str) -> bytes:
        """What was sealed under `name`."""

    def digest(self, data: bytes) -> str:
        """64 hexadecimal digits, equal for equal data, by which sealed things can be found."""


class Documents(Protocol):
    """A MongoDB target, to look at: `where` is a filter, every value in it a plain one."""

    def find(
        self,
        collection: str,
        where: Mapping[str, Any],
        fields: Sequence[str],
        *,
        order: str | None = None,
        limit: int = 0,
    ) -> Iterator[Record]:
        """Stream these fields of what matches; 0 is no limit.

        `order` is a field to sort by, upwards, or downwards with a minus before it.
        """

    def tally(
        self, collection: str, field: str, begin: datetime, end: datetime
    ) -> tuple[int, int, int]:
        """Of the documents with a date in this field from `begin` to `end`: how many there are,
        and the sum of their milliseconds since `begin`, and of the squares of these.

        Out of an index on the field alone, without a look at any document.
        """

    def unique(self, collection: str) -> Sequence[Sequence[str]]:
        """The fields of each of its unique indexes; of a collection that is not there, none."""


class GuardedDocuments(Documents, Protocol):
    """The same on the primary, with writes that each ask their own condition. All `majority`."""

    def update(
        self,
        collection: str,
        where: Mapping[str, Any],
        fields: Record,
        unset: Sequence[str] = (),
    ) -> bool:
        """Set and remove fields of one document that still matches; whether there was one."""

    def insert(self, collection: str, document: Record) -> bool:
        """Insert a document with an `_id`; False if there is one by that `_id` already."""

    def delete(self, collection: str, where: Mapping[str, Any]) -> bool:
        """Remove one document that still matches; whether there was one."""


@dataclass(frozen=True)
class Verdict:
    """What a verification of the audit log found: how many entries there are, how much is off."""

    entries: int
    integrity: int
    completeness: int

    @property
    def is_whole(self) -> bool:
        return not self.integrity and not self.completeness


class AuditLog(Protocol):
    """Tend's own audit log, of which a plan may know how fresh its verification is."""

    def verified_ago(self) -> timedelta | None:
        """How long ago all of it was found in order; None if it never was."""


class VerifiableLog(AuditLog, Protocol):
    """The same, to be verified."""

    def verify(self) -> Verdict:
        """Read all of it and put the verdict on record; an alert says so if anything is off."""


class CheckContext(Protocol):
    """What a check gets: targets to look at, and nothing that is Tend's own."""

    @property
    def as_of(self) -> datetime:
        """The moment that counts as now: the plan's, when its items are performed."""

    @property
    def documents(self) -> Documents:
        """Raises `TargetMissing` where no MongoDB is set."""

    def sql(self) -> AbstractContextManager[Connection]:
        """A transaction on the SQL target that cannot write; raises `TargetMissing`."""


class TaskContext(CheckContext, Protocol):
    """What planning gets: nothing here can write to a target."""

    @property
    def state(self) -> State: ...

    @property
    def vault(self) -> Vault: ...

    @property
    def redis(self) -> "Redis":
        """Raises `SettingError` where no Redis is set."""

    @property
    def audit(self) -> AuditLog: ...


class PerformContext(TaskContext, Protocol):
    """What performing gets beside it: guarded writes."""

    @property
    def documents(self) -> GuardedDocuments: ...

    @property
    def audit(self) -> VerifiableLog: ...

    def sql(self) -> AbstractContextManager[Connection]:
        """A transaction on the SQL target's primary, committed at its end."""

    def mongo(self) -> AbstractContextManager[tuple[Database[dict[str, Any]], ClientSession]]:
        """The same on MongoDB: what is done with the session is committed with it, `majority`."""


class TaskJob(Protocol):
    """What a policy asks for, item by item, and how to do it."""

    name: ClassVar[str]
    Options: ClassVar[type[PolicyOptions]]
    """A subclass of `TaskOptions`, which say what of a target the policy reads and writes."""
    security: ClassVar[bool]
    """Whether the job protects against attackers: a brake for all policies spares it."""
    mirror_action: ClassVar[str]
    """The `action` under which the application's own log shows a run that changed something."""
    mirror_count: ClassVar[str]
    """The name that log gives to the number of items that changed something."""

    def check(self, ctx: CheckContext, policy: Policy) -> None:
        """Raise unless what the policy names is there."""

    def questions(self, ctx: CheckContext, policy: Policy) -> Iterator[str]:
        """What only a person can decide: `tend doctor` asks it, and nothing waits for an answer."""

    def plan(self, ctx: TaskContext, policy: Policy) -> Iterator[Item]:
        """What is to be done now; the key and the fields of an item are small, and BSON knows them.

        A preview shows the fields, masked by their names. Of the family's own state it may
        write down what it has read; nothing else may change.
        """

    def perform(self, ctx: PerformContext, policy: Policy, items: Sequence[Item]) -> Outcomes:
        """Do these items; one that is done already, in part or by another, is finished quietly.

        Each write asks its own condition. After a crash the same items come again.
        """
