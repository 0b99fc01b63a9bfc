"""Recording a look: one row for it, and a row for each trouble; what is well has none."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from itertools import groupby

from sqlalchemy import select
from sqlalchemy.orm import Session

from jobs.probing import Look, Reading
from policies.probes import Probe
from worker import database
from worker.alerts import alerts
from worker.database import Database
from worker.keys import Keyring
from worker.probes import history, telling
from worker.probes.hysteresis import Standing, after
from worker.probes.looking import Looked
from worker.tables import ProbeState, ProbeTrouble

Key = tuple[str, str]
"""Subject and check."""
GONE_AFTER = timedelta(days=1)
"""A probe that nobody looked at for so long was taken away, or its host was."""


def record(
    db: Database, keyring: Keyring, probe: Probe, place: str, looked: Looked, took_ms: int
) -> None:
    """Keep what a look found, and raise and clear alerts, in one transaction."""
    with db.transaction(durable=False) as session:
        moment = database.now(session)
        state = session.get(ProbeState, (probe.name, place), with_for_update=True)
        if state is None:
            return  # taken away while it was looked at
        state.looked_at, state.took_ms, state.looking_until = moment, took_ms, None
        state.off, state.remarks = looked.off, list(looked.look.remarks)
        standing = {(one.subject, one.check): one for one in troubles(session, probe.name, place)}
        before = _raised(standing.values())
        if looked.off is None:
            history.keep(session, probe.name, place, moment, looked.look.readings)
            _apply(session, probe, place, looked.look, standing, moment)
        else:
            _forget(session, standing)
        session.flush()
        now = _raised(troubles(session, probe.name, place))
        telling.tell(session, keyring, probe, before, now)


def troubles(session: Session, probe: str, place: str) -> Sequence[ProbeTrouble]:
    query = select(ProbeTrouble).where(ProbeTrouble.probe == probe, ProbeTrouble.place == place)
    return session.scalars(query.order_by(ProbeTrouble.subject, ProbeTrouble.check)).all()


def retire(db: Database) -> None:
    """Let go of probes that nobody looks at any more, with their troubles and alerts."""
    with db.transaction() as session:
        gone = database.now(session) - GONE_AFTER
        for state in session.scalars(select(ProbeState).where(ProbeState.next_at < gone)).all():
            standing = troubles(session, state.name, state.place)
            for cause in _raised(standing):
                alerts.clear_alert(session, telling.named(state.name, cause))
            for each in (*standing, state):
                session.delete(each)


def _apply(
    session: Session,
    probe: Probe,
    place: str,
    look: Look,
    standing: dict[Key, ProbeTrouble],
    moment: datetime,
) -> None:
    for reading in _readings(look, standing):
        if reading.ill is None:
            continue
        trouble = standing.get((reading.subject, reading.check))
        known = None if trouble is None else Standing(trouble.ill, trouble.well, trouble.raised)
        if known is None and not reading.ill:
            continue
        found = after(known, reading.ill, probe.raise_after, probe.clear_after)
        if found is None:
            session.delete(trouble)
            continue
        if trouble is None:
            trouble = ProbeTrouble(
                probe=probe.name,
                place=place,
                subject=reading.subject,
                check=reading.check,
                since=moment,
            )
            session.add(trouble)
        trouble.ill, trouble.well, trouble.raised = found
        if reading.ill:
            trouble.cause, trouble.says = reading.cause or reading.subject, reading.says


def _readings(look: Look, standing: Mapping[Key, ProbeTrouble]) -> Iterator[Reading]:
    """What was read, and after a whole look each trouble of which nothing was seen any more."""
    yield from look.readings
    if not look.is_whole:
        return
    read = {(one.subject, one.check) for one in look.readings}
    for subject, check in standing.keys() - read:
        if check not in look.unknown:
            yield Reading(subject, check, False)


def _forget(session: Session, standing: Mapping[Key, ProbeTrouble]) -> None:
    """A probe that is off has no troubles: what stood is cleared."""
    for trouble in standing.values():
        session.delete(trouble)


def _raised(found: Iterable[ProbeTrouble]) -> telling.Groups:
    raised = sorted((one for one in found if one.raised), key=_cause)
    return {cause: list(group) for cause, group in groupby(raised, key=_cause)}


def _cause(trouble: ProbeTrouble) -> telling.Cause:
    return telling.Cause(trouble.check, trouble.cause)
