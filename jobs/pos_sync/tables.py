"""What the family keeps in the control database: how each store is, and what was tried."""

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from jobs.tables import Table


class PosStore(Table):
    """One store: its condition, what is wrong with it, and what opens it."""

    __tablename__ = "pos_stores"
    __table_args__ = (Index("ix_pos_stores_next_at", "next_at"),)

    key: Mapped[str] = mapped_column(String(128), primary_key=True)
    """The kind of target and the store's key there, such as sql/7."""
    name: Mapped[str]
    provider: Mapped[str] = mapped_column(String(16))
    address: Mapped[str]
    condition: Mapped[str] = mapped_column(String(16), default="healthy")
    error: Mapped[str | None] = mapped_column(String(32))
    """The class of the last failure; none since the last success."""
    detail: Mapped[str | None]
    failures: Mapped[int] = mapped_column(default=0)
    """In a row."""
    ill_since: Mapped[datetime | None]
    """When the incident began."""
    told_at: Mapped[datetime | None]
    """Since when an alert stands of the incident in its present condition."""
    untold: Mapped[bool] = mapped_column(default=False)
    """The application does not know yet how the store is: the next look tells it."""
    next_at: Mapped[datetime | None]
    """When it is tried next; none before the first time."""
    data_as_of: Mapped[datetime | None]
    diff: Mapped[str | None] = mapped_column(String(16))
    """The deletions that wait for a person."""
    muted_until: Mapped[datetime | None]
    credentials: Mapped[bytes | None]
    """Sealed."""
    credentials_version: Mapped[int] = mapped_column(default=0)
    refreshing_until: Mapped[datetime | None]
    """One worker refreshes a token; until then the others wait for what it gets."""
    dies_at: Mapped[datetime | None]
    """When its authentication ends unless a person does something."""
    warned_of: Mapped[datetime | None]
    """The end of its authentication of which an alert stands."""


class PosStep(Table):
    """One step of an attempt: what was tried and what came of it."""

    __tablename__ = "pos_steps"
    __table_args__ = (Index("ix_pos_steps_store", "store", "at"), Index("ix_pos_steps_at", "at"))

    id: Mapped[int] = mapped_column(primary_key=True)
    store: Mapped[str] = mapped_column(String(128))
    at: Mapped[datetime]
    step: Mapped[str] = mapped_column(String(32))
    outcome: Mapped[str] = mapped_column(String(32))
    """`ok`, or the class of the failure."""
