"""What people see of alerts, and their acknowledging: for command line, console and API alike."""

import re
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker import database
from worker.alerts import alerts
from worker.alerts.alerts import alert_id
from worker.alerts.events import Severity, event
from worker.audit import entries
from worker.audit.entries import stamp
from worker.database import Database
from worker.errors import UnknownAlert, UsageError
from worker.keys import Keyring
from worker.operations import Person
from worker.tables import Alert

Document = dict[str, Any]
MOST = 200
"""Alerts in one list, the newest first."""


def listed(session: Session, keyring: Keyring, *, over: bool = False) -> list[Document]:
    """The alerts that stand, the worst first; with `over` the newest, ended ones among them."""
    query = select(Alert)
    if over:
        query = query.order_by(Alert.id.desc()).limit(MOST)
    else:
        query = query.where(Alert.cleared_at.is_(None)).order_by(Alert.severity, Alert.id)
    return [as_json(session, keyring, alert) for alert in session.scalars(query).all()]


def get(session: Session, wanted: str) -> Alert:
    """The alert called `a-12`."""
    match = re.fullmatch(r"(?:a-)?(\d{1,18})", wanted.strip().lower())
    alert = session.get(Alert, int(match[1])) if match else None
    if alert is None:
        raise UnknownAlert(f"There is no alert '{wanted}'; `tend alerts --all` lists them.")
    return alert


def acknowledge(db: Database, wanted: str, person: Person) -> int:
    """Say that somebody looks after it, which ends its escalation; returns the alert's number."""
    with db.transaction() as session:
        alert = get(session, wanted)
        session.refresh(alert, with_for_update=True)
        if alert.cleared_at is not None:
            raise UsageError(f"{alert_id(alert)} is over; nobody needs to look after it.")
        if alert.acknowledged_at is not None:
            raise UsageError(
                f"{alert_id(alert)} was acknowledged by {alert.acknowledged_by} at "
                f"{alert.acknowledged_at:%Y-%m-%d %H:%M} UTC: {alert.acknowledgement}."
            )
        alert.acknowledged_at = database.now(session)
        alert.acknowledged_by = person.actor.name
        alert.acknowledgement = person.reason
        detail = {
            "alert": alert_id(alert),
            "event": alert.event,
            "severity": alert.severity,
            "reason": person.reason,
        }
        entries.append(session, "alert_acknowledged", person.actor, detail=detail)
        return alert.id


def as_json(session: Session, keyring: Keyring, alert: Alert) -> Document:
    said = alerts.said(session, keyring, alert)
    return {
        "id": alert_id(alert),
        "severity": alert.severity,
        "event": alert.event,
        "title": event(alert.event).title,
        "cause": alert.cause,
        "state": _state(alert),
        "text": said.text,
        "unaffected": said.unaffected,
        "next": said.next,
        "raised_at": stamp(alert.at),
        "answer_by": stamp(alert.at + Severity(alert.severity).response),
        "acknowledged_at": _time(alert.acknowledged_at),
        "acknowledged_by": alert.acknowledged_by,
        "acknowledgement": alert.acknowledgement,
        "escalated_at": _time(alert.escalated_at),
        "cleared_at": _time(alert.cleared_at),
    }


def _state(alert: Alert) -> str:
    if alert.cleared_at is not None:
        return "cleared"
    return "acknowledged" if alert.acknowledged_at is not None else "open"


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else stamp(moment)
