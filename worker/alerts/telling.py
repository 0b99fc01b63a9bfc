"""Telling: which messages an alert owes now, as notices that are then delivered like all others."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import select

from jobs.task import Notice
from worker import database
from worker.alerts import alerts
from worker.alerts.alerts import Said, alert_id
from worker.alerts.events import Severity, event
from worker.database import Database
from worker.keys import Keyring
from worker.notices import notices
from worker.tables import Alert

AGAIN = timedelta(days=1)
"""So often people are told of an alert that stands."""


@dataclass(frozen=True)
class Place:
    """What every message says of this installation."""

    environment: str
    console_url: str | None


@dataclass(frozen=True)
class _Message:
    kind: str
    heading: str
    escalates: bool = False


def tell(db: Database, keyring: Keyring, place: Place) -> int:
    """Owe people what they were not told yet; returns how many messages that are.

    An alert that was over before anybody was told of it owes none.
    """
    owed = 0
    with db.transaction() as session:
        moment = database.now(session)
        unsettled = select(Alert).where(Alert.settled_at.is_(None)).order_by(Alert.id)
        for alert in session.scalars(unsettled.with_for_update(skip_locked=True)).all():
            messages = list(_messages(alert, moment))
            said = alerts.said(session, keyring, alert) if messages else None
            for message in messages:
                owed += 1
                notice = Notice(
                    cause=f"alert/{alert.id}/{message.kind}",
                    text=_text(alert, message, said, place),
                    urgent=Severity(alert.severity).is_urgent,
                )
                notices.queue(session, keyring, notice, escalates=message.escalates)
    return owed


def _messages(alert: Alert, moment: datetime) -> Iterator[_Message]:
    """What is owed now; notes on the alert that it is."""
    if alert.cleared_at is not None:
        alert.settled_at = moment
        if alert.told is not None:
            lasted = _length(alert.cleared_at - alert.at)
            yield _Message("recovered", f"RECOVERED after {lasted}")
        return
    day = max(0, (moment - alert.at) // AGAIN)
    if alert.told is None:
        yield _Message("first", f"answer within {_length(Severity(alert.severity).response)}")
    elif day > alert.told:
        yield _Message(f"day-{day}", f"STILL, for {_length(moment - alert.at)}")
    alert.told = day
    late = moment - alert.at >= Severity(alert.severity).response
    if late and alert.acknowledged_at is None and alert.escalated_at is None:
        alert.escalated_at = moment
        waited = _length(Severity(alert.severity).response)
        yield _Message("escalated", f"ESCALATED: nobody acknowledged it in {waited}", True)


def _text(alert: Alert, message: _Message, said: Said | None, place: Place) -> str:
    if said is None:
        raise AssertionError("an alert that owes a message has words")
    title = event(alert.event).title
    lines = [
        f"[{place.environment}] {alert.severity} {alert_id(alert)}: {title} ({message.heading})",
        f"What happened: {said.text}",
    ]
    if alert.cleared_at is None:
        lines += [f"Unaffected: {said.unaffected}", f"Next: {said.next}"]
        if alert.acknowledged_by is not None:
            lines.append(f"Acknowledged by {alert.acknowledged_by}: {alert.acknowledgement}")
        else:
            lines.append(f"Acknowledge: tend alerts ack {alert_id(alert)} --reason …")
    if place.console_url is not None:
        lines.append(f"{place.console_url}/alerts/{alert_id(alert)}")
    return "\n".join(lines)


def _length(time: timedelta) -> str:
    """In days, hours or minutes, whatever says enough."""
    minutes = int(time.total_seconds()) // 60
    if minutes < 60:
        return f"{minutes} min"
    return f"{minutes // 60} h" if minutes < 72 * 60 + 1 else f"{minutes // 1440} days"
