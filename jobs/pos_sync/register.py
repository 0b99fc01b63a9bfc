"""The rows of the stores: found in the targets, picked for work, settled after an attempt."""

import random
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from jobs.pos_sync.condition import Condition, after_failure, longest_wait
from jobs.pos_sync.connectors import CONNECTORS
from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.passes import moment_of
from jobs.pos_sync.stores import Store
from jobs.pos_sync.sync import Synced
from jobs.pos_sync.tables import PosStep, PosStore

ILL = (Condition.DEGRADED, Condition.ERROR, Condition.OFFLINE)
SOONEST = timedelta(seconds=30)


class Step(NamedTuple):
    """One step of an attempt and its outcome."""

    step: str
    outcome: str


def register(session: Session, stores: Iterable[Store]) -> None:
    """Write down the stores that the application declares, and what it says of them now."""
    for store in stores:
        row = session.get(PosStore, store.key)
        if row is None:
            row = PosStore(key=store.key)
            session.add(row)
        row.name, row.provider, row.address = store.name, store.provider, store.address


def due(session: Session, now: datetime, *, failed: bool) -> Sequence[PosStore]:
    """The stores whose time has come, or of which their application has not been told.

    Those that are well, or those that are not.
    """
    is_time = or_(PosStore.next_at.is_(None), PosStore.next_at <= now, PosStore.untold)
    wanted = PosStore.condition.in_(ILL) if failed else PosStore.condition.not_in(ILL)
    query = select(PosStore).where(is_time, wanted).order_by(PosStore.next_at, PosStore.key)
    return [row for row in session.scalars(query) if row.untold or is_due(row, now)]


def is_due(row: PosStore, now: datetime) -> bool:
    """Whether it is to be tried; what only a person can mend is not."""
    if row.condition == Condition.NEEDS_PERSON and row.error != Kind.SHRUNK:
        return False
    return row.next_at is None or row.next_at <= now


def next_scheduled(row: PosStore, now: datetime) -> datetime:
    """When the store is synced next if all is well: no attempt goes past it."""
    return now + CONNECTORS[row.provider].every


def settle_success(row: PosStore, synced: Synced, now: datetime) -> None:
    row.condition = Condition.HEALTHY
    row.error = row.detail = row.diff = row.ill_since = None
    row.failures = 0
    row.data_as_of = moment_of(synced.data_as_of)
    row.next_at = next_scheduled(row, now)


def settle_failure(row: PosStore, failed: SyncFailed, now: datetime, diff: str | None) -> None:
    """What the row says after it, and when the next attempt is."""
    before = Condition(row.condition)
    row.failures += 1
    row.error, row.detail, row.diff = failed.kind, failed.detail, diff
    row.ill_since = row.ill_since or now
    row.condition = after_failure(before, failed.kind, row.failures)
    if row.condition == Condition.NEEDS_PERSON != before:
        row.told_at = None  # now it is another matter, and somebody has to act
    ceiling = longest_wait(Condition(row.condition), row.failures)
    if ceiling is None:
        may_heal = failed.kind is Kind.SHRUNK  # the next pass may find everything again
        row.next_at = next_scheduled(row, now) if may_heal else None
        return
    wait = max(_full_jitter(failed, ceiling), SOONEST)
    row.next_at = min(now + wait, next_scheduled(row, now))


def hand_over(row: PosStore, failed: SyncFailed, now: datetime) -> None:
    """A first failure that may pass: `pos-sync-retry` asks again, and only then it counts."""
    row.condition = Condition.DEGRADED
    row.error, row.detail, row.ill_since = failed.kind, failed.detail, now
    row.next_at = min(now + _full_jitter(failed, SOONEST), next_scheduled(row, now))


def _full_jitter(failed: SyncFailed, longest: timedelta) -> timedelta:
    """Anything up to the longest wait, but what the provider asks for at least."""
    jitter = random.uniform(0, longest.total_seconds())  # noqa: S311 - jitter is no secret
    return timedelta(seconds=max(jitter, failed.wait or 0))


def write_steps(session: Session, store: str, steps: Iterable[Step], now: datetime) -> None:
    session.add_all(PosStep(store=store, at=now, step=one, outcome=out) for one, out in steps)


def find(session: Session, name: str) -> list[PosStore]:
    """The store of this id, or those of this name."""
    row = session.get(PosStore, name)
    if row is not None:
        return [row]
    meant = or_(PosStore.name == name, PosStore.key.in_([f"sql/{name}", f"mongo/{name}"]))
    return list(session.scalars(select(PosStore).where(meant).order_by(PosStore.key)))
