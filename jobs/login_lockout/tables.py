"""What the family keeps in the control database: decisions, pardons, and where it has read to.

Users and addresses appear only sealed, and as digests by which their rows are found.
"""

from datetime import datetime
from typing import Any

from sqlalchemy import Index, String, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from jobs.tables import Table


class LockoutDecision(Table):
    """One lock, block or alert, and why."""

    __tablename__ = "lockout_decisions"
    __table_args__ = (
        Index(
            "ix_lockout_decisions_standing",
            "kind",
            "subject",
            unique=True,
            sqlite_where=text("lifted_at IS NULL"),
            postgresql_where=text("lifted_at IS NULL"),
        ),
        Index("ix_lockout_decisions_subject", "subject"),
        Index("ix_lockout_decisions_until", "until"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(64), unique=True)
    """The same for the same failures, whoever decides."""
    kind: Mapped[str] = mapped_column(String(8))
    """lock, block or alert; of the first two one may stand for a subject."""
    why: Mapped[str] = mapped_column(String(32))
    subject: Mapped[str] = mapped_column(String(64))
    """The digest of the user or the address."""
    other: Mapped[str | None] = mapped_column(String(64))
    """The digest of the address that a lock answers, or of the user that a block does."""
    policy: Mapped[str] = mapped_column(String(64))
    policy_version: Mapped[str] = mapped_column(String(64))
    since: Mapped[datetime]
    """The first failure that it answers: no other decision answers it again."""
    at: Mapped[datetime]
    until: Mapped[datetime]
    attempts: Mapped[int]
    evidence: Mapped[bytes]
    """Sealed: user, account, address, and each event with its source, place and digest."""
    made_at: Mapped[datetime]
    confirmed_at: Mapped[datetime | None]
    """When the target was read back and said so."""
    lifted_at: Mapped[datetime | None]
    lifted_by: Mapped[str | None]
    lift_reason: Mapped[str | None]


class LockoutPardon(Table):
    """What a person said: failures until then count no more, or a network is not blocked."""

    __tablename__ = "lockout_pardons"
    __table_args__ = (Index("ix_lockout_pardons_until", "until"),)

    id: Mapped[int] = mapped_column(primary_key=True)
    kind: Mapped[str] = mapped_column(String(8))
    """user, address or allow."""
    subject: Mapped[bytes]
    """Sealed."""
    at: Mapped[datetime]
    until: Mapped[datetime]
    """When it is forgotten."""
    by: Mapped[str]
    reason: Mapped[str]


class LockoutFile(Table):
    """How far a followed log was read."""

    __tablename__ = "lockout_files"

    policy: Mapped[str] = mapped_column(String(64), primary_key=True)
    source: Mapped[str] = mapped_column(String(64), primary_key=True)
    """The digest of the path as the policy writes it."""
    files: Mapped[list[Any]]
    """Of each file that was met: device, inode, the digest of its beginning, and the offset."""
    set_aside: Mapped[dict[str, Any]]
    """How many lines said nothing certain, by why."""
    version: Mapped[int] = mapped_column(default=0)


class LockoutMark(Table):
    """What the last look saw that found nothing to do: while it is so, nothing is to be done."""

    __tablename__ = "lockout_marks"

    policy: Mapped[str] = mapped_column(String(64), primary_key=True)
    policy_version: Mapped[str] = mapped_column(String(64))
    begin: Mapped[datetime]
    """Events from then on are in the tallies."""
    at: Mapped[datetime]
    knowledge: Mapped[list[Any]]
    tallies: Mapped[list[Any]]
    """Of each collection, in the policy's order."""


class LockoutEvent(Table):
    """A login that a log file told of, for as long as a window looks back."""

    __tablename__ = "lockout_events"
    __table_args__ = (
        UniqueConstraint("policy", "source", "place"),
        Index("ix_lockout_events_at", "at"),
    )

    id: Mapped[int] = mapped_column(primary_key=True)
    policy: Mapped[str] = mapped_column(String(64))
    source: Mapped[str] = mapped_column(String(64))
    place: Mapped[str] = mapped_column(String(96))
    """Which file, and the offset of its line."""
    at: Mapped[datetime]
    failed: Mapped[bool]
    user: Mapped[str | None] = mapped_column(String(64))
    """A digest, as is `address`."""
    address: Mapped[str] = mapped_column(String(64))
    event: Mapped[bytes]
    """Sealed."""
