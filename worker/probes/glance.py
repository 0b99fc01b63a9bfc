"""How the probes are, as JSON: the same for the command line, the console and the metrics."""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from policies.probes import Probe
from worker import database
from worker.alerts.alerts import alert_id
from worker.audit.entries import stamp
from worker.errors import UnknownProbe
from worker.probes import history, telling
from worker.probes.history import Line, Point
from worker.probes.telling import Cause
from worker.tables import Alert, ProbeState, ProbeTrouble

Document = dict[str, Any]
Alerts = Mapping[str, Alert]
"""Those that stand, by their cause."""
STATES = ("ill", "silent", "suspect", "well", "new", "off")
"""The worst first: `silent` is one that nobody looks at, `suspect` one that is not ill yet."""
MISSED = timedelta(seconds=60)
"""So much later than it was due, nobody looks at a probe."""


def glance(session: Session, probes: Mapping[str, Probe]) -> list[Document]:
    """Every probe and, where each host looks by itself, every host: the worst first."""
    moment = database.now(session)
    troubles: dict[tuple[str, str], list[ProbeTrouble]] = {}
    for one in session.scalars(select(ProbeTrouble)):
        if one.probe in probes and one.check in probes[one.probe].options.CHECKS:
            troubles.setdefault((one.probe, one.place), []).append(one)
    looked: dict[str, list[ProbeState]] = {}
    for state in session.scalars(select(ProbeState).order_by(ProbeState.place)):
        looked.setdefault(state.name, []).append(state)
    standing = select(Alert).where(Alert.event == "probe", Alert.cleared_at.is_(None))
    alerts = {one.cause: one for one in session.scalars(standing)}
    found = [
        _summary(probe, state, troubles.get((probe.name, state.place), ()), alerts, moment)
        for probe in probes.values()
        for state in looked.get(probe.name, ())
    ]
    found += [_never(probe) for probe in probes.values() if probe.name not in looked]
    return sorted(found, key=_badness)


def details(session: Session, probes: Mapping[str, Probe], name: str) -> Document:
    """One probe whole: its troubles, and of each subject and check what the last looks read."""
    probe = probes.get(name)
    if probe is None:
        raise UnknownProbe(f"There is no probe '{name}'; `tend probes` lists them.")
    places = [one for one in glance(session, probes) if one["probe"] == name]
    plots = [
        _plot(probe, place["place"], line, points)
        for place in places
        for line, points in history.lines(session, name, place["place"]).items()
        if line[1] in probe.options.CHECKS
    ]
    return {
        "probe": name,
        "kind": probe.kind,
        "description": probe.description,
        "every": str(probe.every),
        "places": places,
        "plots": sorted(plots, key=lambda one: (not one["ill"], one["subject"], one["check"])),
    }


def _summary(
    probe: Probe,
    state: ProbeState,
    troubles: Sequence[ProbeTrouble],
    alerts: Alerts,
    moment: datetime,
) -> Document:
    return {
        "probe": probe.name,
        "kind": probe.kind,
        "place": state.place,
        "state": _state(state, troubles, moment),
        "severity": min(_severities(probe, troubles), default=None),
        "looked_at": stamp(state.looked_at) if state.looked_at else None,
        "took_ms": state.took_ms,
        "off": state.off,
        "remarks": state.remarks,
        "troubles": [_trouble(probe, each, alerts) for each in _ordered(probe, troubles)],
    }


def _never(probe: Probe) -> Document:
    place = {"place": "", "state": "new", "severity": None, "looked_at": None, "took_ms": None}
    rest: Document = {"off": None, "remarks": [], "troubles": []}
    return {"probe": probe.name, "kind": probe.kind, **place, **rest}


def _state(state: ProbeState, troubles: Sequence[ProbeTrouble], moment: datetime) -> str:
    if state.off is not None:
        return "off"
    if state.next_at < moment - MISSED and (state.looking_until or moment) <= moment:
        return "silent"
    if any(_raised(troubles)):
        return "ill"
    if troubles:
        return "suspect"
    return "well" if state.looked_at is not None else "new"


def _raised(troubles: Iterable[ProbeTrouble]) -> Sequence[ProbeTrouble]:
    return [each for each in troubles if each.raised]


def _severities(probe: Probe, troubles: Iterable[ProbeTrouble]) -> Sequence[str]:
    return [str(probe.check(each.check).severity) for each in _raised(troubles)]


def _ordered(probe: Probe, troubles: Iterable[ProbeTrouble]) -> Sequence[ProbeTrouble]:
    return sorted(
        troubles,
        key=lambda one: (not one.raised, probe.check(one.check).severity, one.subject, one.check),
    )


def _trouble(probe: Probe, trouble: ProbeTrouble, alerts: Alerts) -> Document:
    check = probe.check(trouble.check)
    alert = alerts.get(telling.named(probe.name, Cause(trouble.check, trouble.cause)))
    return {
        "subject": trouble.subject,
        "check": trouble.check,
        "severity": str(check.severity),
        "raised": trouble.raised,
        "since": stamp(trouble.since),
        "says": trouble.says,
        "means": check.means,
        "todo": check.todo,
        "alert": alert_id(alert) if alert and trouble.raised else None,
        "acknowledged_by": alert.acknowledged_by if alert and trouble.raised else None,
    }


def _plot(probe: Probe, place: str, line: Line, points: Sequence[Point]) -> Document:
    subject, check = line
    return {
        "place": place,
        "subject": subject,
        "check": check,
        "unit": probe.check(check).unit,
        "ill": points[-1].is_ill,
        "value": points[-1].value,
        "points": [
            {"at": stamp(each.at), "value": each.value, "ill": each.is_ill} for each in points
        ],
    }


def _badness(one: Document) -> tuple[int, str, str, str]:
    return (STATES.index(one["state"]), one["severity"] or "P9", one["probe"], one["place"])
