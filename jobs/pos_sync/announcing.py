"""Who is told what: one alert per incident, and one for all stores of a provider that is down."""

from datetime import datetime, timedelta

from sqlalchemy import delete, func, or_, select
from sqlalchemy.orm import Session

from jobs.pos_sync.condition import Condition
from jobs.pos_sync.failures import CLASSES, Kind
from jobs.pos_sync.tables import PosStep, PosStore
from jobs.task import Alert, State

ENOUGH_STORES = 5
WARNED_BEFORE = timedelta(days=14)
STEPS_KEPT = timedelta(days=90)


def announce(state: State, now: datetime) -> None:
    """Let alerts stand for what is ill and for what will end, and clear those that are over."""
    with state.transaction() as session:
        down = _outages(state, session)
        _over(state, session, now)
        _incidents(state, session, now, down)
        _endings(state, session, now)
        session.execute(delete(PosStep).where(PosStep.at < now - STEPS_KEPT))


def _outages(state: State, session: Session) -> set[tuple[str, str]]:
    """The providers that are down, with the class of failure of most of their stores."""
    every = dict(
        session.execute(select(PosStore.provider, func.count()).group_by("provider")).all()
    )
    ill = select(PosStore.provider, PosStore.error, func.count(), func.min(PosStore.ill_since))
    alike = (PosStore.condition != Condition.HEALTHY, PosStore.error.is_not(None))
    down: set[tuple[str, str]] = set()
    for provider, error, count, first in session.execute(
        ill.where(*alike).group_by(PosStore.provider, PosStore.error)
    ):
        if error is not None and count >= ENOUGH_STORES and count * 2 >= every[provider]:
            down.add((provider, error))
            state.raise_alert(session, _of_provider(provider, Kind(error), count, first))
    for provider in every.keys() - {provider for provider, _ in down}:
        state.clear_alert(session, _provider_cause(provider))
    return down


def _over(state: State, session: Session, now: datetime) -> None:
    """The stores that are well again, and those of which nobody wants to hear for a while."""
    is_over = or_(PosStore.condition == Condition.HEALTHY, PosStore.muted_until > now)
    told = select(PosStore).where(PosStore.told_at.is_not(None), is_over)
    for row in session.scalars(told.with_for_update()):
        row.told_at = None
        state.clear_alert(session, f"pos/{row.key}")
        state.clear_alert(session, f"pos/{row.key}/person")


def _incidents(state: State, session: Session, now: datetime, down: set[tuple[str, str]]) -> None:
    ill = select(PosStore).where(
        PosStore.condition != Condition.HEALTHY,
        PosStore.failures > 0,  # what is only handed over may be well in a minute
        PosStore.told_at.is_(None),
        or_(PosStore.muted_until.is_(None), PosStore.muted_until <= now),
    )
    for row in session.scalars(ill.order_by(PosStore.key).with_for_update()):
        if (row.provider, row.error) in down:
            continue
        row.told_at = now
        if row.condition == Condition.NEEDS_PERSON:
            state.clear_alert(session, f"pos/{row.key}")
        state.raise_alert(session, _of_store(row))


def _of_store(row: PosStore) -> Alert:
    """It turns into another alert when a person is needed."""
    says = CLASSES[Kind(row.error or "")].says
    text = f"Store {row.name} ({row.key}, {row.provider}): {says}."
    if row.condition == Condition.NEEDS_PERSON:
        steps = f"tend pos steps {row.key}"
        return Alert("needs_person", f"pos/{row.key}/person", text, next=steps)
    goes_on = "Other stores; what is stored of this one is served with its age."
    cause = f"pos/{row.key}"
    return Alert("service_failing", cause, text, next="tend pos status", unaffected=goes_on)


def _provider_cause(provider: str) -> str:
    return f"pos/provider/{provider}"


def _of_provider(provider: str, kind: Kind, ill: int, first: datetime | None) -> Alert:
    since = f" since {first:%Y-%m-%d %H:%M} UTC" if first else ""
    text = f"{provider}: {ill} stores fail alike{since}: {CLASSES[kind].says}."
    goes_on = "Other providers; what is stored is served with its age, and Tend goes on trying."
    cause = _provider_cause(provider)
    return Alert("service_failing", cause, text, next="tend pos status", unaffected=goes_on)


def _endings(state: State, session: Session, now: datetime) -> None:
    """Authentications that end within two weeks, until somebody renews them."""
    soon = now + WARNED_BEFORE
    renewed = or_(PosStore.dies_at.is_(None), PosStore.dies_at > soon)
    warned = select(PosStore).where(PosStore.warned_of.is_not(None), renewed)
    for row in session.scalars(warned.with_for_update()):
        row.warned_of = None
        state.clear_alert(session, _end_cause(row))
    unwarned = or_(PosStore.warned_of.is_(None), PosStore.warned_of != PosStore.dies_at)
    ending = select(PosStore).where(PosStore.dies_at <= soon, unwarned)
    for row in session.scalars(ending.with_for_update()):
        row.warned_of = row.dies_at
        text = f"Store {row.name} ({row.key}): its authentication ends on {row.dies_at:%Y-%m-%d}."
        steps = f"tend pos steps {row.key}"
        state.raise_alert(session, Alert("ends_soon", _end_cause(row), text, next=steps))


def _end_cause(row: PosStore) -> str:
    return f"pos/{row.key}/ends"
