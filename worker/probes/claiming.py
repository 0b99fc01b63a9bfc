"""Whose turn it is: of all workers one looks at each time, by compare-and-set."""

from datetime import datetime, timedelta

from sqlalchemy import or_, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from policies.probes import Probe
from worker import database
from worker.database import Database
from worker.tables import ProbeState

GRACE = timedelta(seconds=15)
"""After a look's own time: then whoever looked is lost, and another one may."""


def claim(db: Database, probe: Probe, place: str) -> float:
    """0 if the look is ours to make now; else the seconds until somebody may look again."""
    with db.transaction(durable=False) as session:
        moment = database.now(session)
        state = session.get(ProbeState, (probe.name, place)) or _begun(
            session, probe, place, moment
        )
        if state is None:
            return 1.0
        is_free = or_(ProbeState.looking_until.is_(None), ProbeState.looking_until < moment)
        ours = update(ProbeState).where(
            ProbeState.name == probe.name,
            ProbeState.place == place,
            ProbeState.next_at <= moment,
            is_free,
        )
        until = moment + timedelta(seconds=probe.seconds) + GRACE
        taken = ours.values(next_at=moment + probe.every.delta, looking_until=until)
        if database.rows_changed(session, taken):
            return 0.0
        session.refresh(state)
        return max(1.0, (state.next_at - moment).total_seconds())


def _begun(session: Session, probe: Probe, place: str, moment: datetime) -> ProbeState | None:
    """The first look at a probe is due at once; None if another worker has just begun it."""
    state = ProbeState(name=probe.name, place=place, next_at=moment, remarks=[])
    try:
        with session.begin_nested():
            session.add(state)
    except IntegrityError:
        return None
    return state
