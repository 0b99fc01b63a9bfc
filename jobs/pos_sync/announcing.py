"""Who is told what: once per incident, and once for all stores of a provider that is down."""

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from jobs.pos_sync.condition import Condition
from jobs.pos_sync.connectors import CONNECTORS
from jobs.pos_sync.failures import CLASSES, Kind
from jobs.pos_sync.tables import PosStep, PosStore
from jobs.task import Notice, State

ENOUGH_STORES = 5
WARNED_BEFORE = timedelta(days=14)
STEPS_KEPT = timedelta(days=90)


def announce(state: State, now: datetime) -> None:
    """Tell of every incident that nobody was told of yet."""
    with state.transaction() as session:
        for notice in [*_incidents(session, now), *_endings(session, now)]:
            state.notify(session, notice)
        session.execute(delete(PosStep).where(PosStep.at < now - STEPS_KEPT))


def _incidents(session: Session, now: datetime) -> Iterable[Notice]:
    rows = session.scalars(
        select(PosStore)
        .where(PosStore.condition != Condition.HEALTHY, PosStore.told_at.is_(None))
        .order_by(PosStore.provider, PosStore.error, PosStore.key)
        .with_for_update()
    ).all()
    for (provider, error), group in groupby(rows, key=lambda row: (row.provider, row.error)):
        stores = [row for row in group if row.muted_until is None or row.muted_until <= now]
        for row in stores:
            row.told_at = now
        if not stores or error is None:
            continue
        session.flush()
        ill, first = _outage(session, provider, error)
        if first is not None:
            yield _of_provider(provider, Kind(error), ill, first)
        else:
            yield from map(_of_store, stores)


def _outage(session: Session, provider: str, error: str) -> tuple[int, datetime | None]:
    """How many stores of the provider fail alike, and since when if that is an outage."""
    alike = (
        PosStore.provider == provider,
        PosStore.error == error,
        PosStore.condition != Condition.HEALTHY,
    )
    ill, first = session.execute(
        select(func.count(), func.min(PosStore.ill_since)).where(*alike)
    ).one()
    every = session.scalar(
        select(func.count()).select_from(PosStore).where(PosStore.provider == provider)
    )
    is_outage = ill >= ENOUGH_STORES and ill * 2 >= (every or 0)
    return ill, first if is_outage else None


def _of_provider(provider: str, kind: Kind, ill: int, first: datetime) -> Notice:
    text = (
        f"{provider}: {ill} stores fail alike since {first:%Y-%m-%d %H:%M} UTC: "
        f"{CLASSES[kind].says}. Their data is served from what is stored; Tend goes on trying. "
        "`tend pos status` lists them."
    )
    return Notice(f"pos/{provider}/{kind}/{first.isoformat()}", text, urgent=True)


def _of_store(row: PosStore) -> Notice:
    handling = CLASSES[Kind(row.error or "")]
    since = row.ill_since.isoformat() if row.ill_since else ""
    what = f"Store {row.name} ({row.key}, {row.provider}): {handling.says}."
    needs_person = row.condition == Condition.NEEDS_PERSON
    then = (
        f"A person is needed: `tend pos steps {row.key}`."
        if needs_person
        else "What is stored is served with its age; Tend goes on trying by itself."
    )
    cause = f"pos/{row.key}/{since}/{'person' if needs_person else 'failing'}"
    return Notice(cause, f"{what} {then}", urgent=needs_person)


def _endings(session: Session, now: datetime) -> Sequence[Notice]:
    """Authentications that end within two weeks; of one end people are told once."""
    rows = session.scalars(select(PosStore).where(PosStore.dies_at <= now + WARNED_BEFORE))
    return [
        Notice(
            f"pos/{row.key}/ends/{row.dies_at:%Y-%m-%d}",
            f"Store {row.name} ({row.key}): its authentication ends on {row.dies_at:%Y-%m-%d}. "
            f"Do before then what `tend pos steps {row.key}` says.",
        )
        for row in rows
        if row.dies_at is not None and row.provider in CONNECTORS
    ]
