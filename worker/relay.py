"""The relay: rings the doorbells that committed transactions owe."""

from collections.abc import Callable
from datetime import datetime

from sqlalchemy import delete, select

from worker.database import Database
from worker.tables import Doorbell

BATCH = 100


def relay(db: Database, ring: Callable[[int], None], now: datetime) -> int:
    """Ring every doorbell that is due, then forget it; returns how many.

    Nothing is rung inside a transaction, so a crash, or a second scheduler, repeats rings and
    loses none. What `ring` raises is passed on, and what it did not ring stays owed.
    """
    rung = 0
    while bells := _due(db, now):
        rung += _ring_all(db, ring, bells)
    return rung


def _due(db: Database, now: datetime) -> list[Doorbell]:
    query = select(Doorbell).where(Doorbell.due_at <= now)
    with db.transaction() as session:
        return list(session.scalars(query.order_by(Doorbell.due_at, Doorbell.id).limit(BATCH)))


def _ring_all(db: Database, ring: Callable[[int], None], bells: list[Doorbell]) -> int:
    rung: list[int] = []
    try:
        for bell in bells:
            for _ in range(bell.rings):
                ring(bell.run_id)
            rung.append(bell.id)
    finally:
        with db.transaction() as session:
            session.execute(delete(Doorbell).where(Doorbell.id.in_(rung)))
    return len(rung)
