"""What `tend pos status` says of each store."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, ClassVar

from sqlalchemy import select

from jobs.pos_sync.failures import CLASSES, Kind, SyncFailed
from jobs.pos_sync.tables import PosStore
from jobs.pos_sync.tools import Tools


@dataclass(frozen=True)
class Look:
    """A store as it is now: what is wrong, how old its data is, and when something happens."""

    NAMES: ClassVar[tuple[str, ...]] = (
        "store",
        "name",
        "state",
        "cause",
        "error",
        "data",
        "breaker",
        "next",
        "login ends",
    )
    row: PosStore
    breaker: str
    now: datetime
    wait: timedelta | None = None
    """Until the breaker lets somebody probe."""

    def as_json(self) -> dict[str, Any]:
        row = self.row
        return {
            "store": row.key,
            "name": row.name,
            "provider": row.provider,
            "state": row.condition,
            "cause": self.cause,
            "error": row.error,
            "detail": row.detail,
            "data_as_of": _iso(row.data_as_of),
            "breaker": self.breaker,
            "next_attempt": _iso(row.next_at),
            "login_ends": _iso(row.dies_at),
            "diff": row.diff,
            "muted_until": _iso(row.muted_until),
        }

    def as_row(self) -> tuple[str, ...]:
        row = self.row
        return (
            row.key,
            row.name,
            row.condition,
            self.cause or "",
            row.error or "",
            "never" if row.data_as_of is None else f"{_span(self.now - row.data_as_of)} old",
            self.breaker,
            "" if row.next_at is None else _until(row.next_at - self.now),
            "" if row.dies_at is None else _until(row.dies_at - self.now),
        )

    @property
    def cause(self) -> str | None:
        """Whose matter it is: us, store or provider."""
        return None if self.row.error is None else CLASSES[Kind(self.row.error)].cause


def look(tools: Tools, now: datetime) -> Sequence[Look]:
    """Every store, those that need somebody first."""
    with tools.state.transaction() as session:
        rows = session.scalars(select(PosStore).order_by(PosStore.key)).all()
        session.expunge_all()
    found = [look_at(tools, row, now) for row in rows]
    order = ("needs_person", "offline", "error", "degraded", "healthy")
    return sorted(found, key=lambda one: order.index(one.row.condition))


def look_at(tools: Tools, row: PosStore, now: datetime) -> Look:
    """One store."""
    try:
        verdict, _, wait = tools.breaker.look(row.key)
    except SyncFailed:
        return Look(row, "unknown", now)
    if verdict == "go":
        return Look(row, "closed", now)
    if not wait:
        return Look(row, str(verdict), now)
    left = timedelta(milliseconds=wait)
    return Look(row, f"{verdict} {_span(left)}", now, left)


def _iso(moment: datetime | None) -> str | None:
    return None if moment is None else moment.isoformat()


def _until(left: timedelta) -> str:
    return f"in {_span(left)}" if left > timedelta(0) else "now"


def _span(span: timedelta) -> str:
    """In the largest unit that leaves no 0: 12 s, 40 min, 5 h, 3 d."""
    seconds = max(0, int(span.total_seconds()))
    for unit, length in (("d", 86_400), ("h", 3600), ("min", 60)):
        if seconds >= length:
            return f"{seconds // length} {unit}"
    return f"{seconds} s"
