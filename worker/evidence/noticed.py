"""How trouble was noticed: the alerts of a period, and the one that was raised of a failure."""

from collections.abc import Iterator
from datetime import datetime

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from worker.alerts.alerts import alert_id
from worker.alerts.events import event
from worker.audit.entries import stamp
from worker.evidence.facts import Document
from worker.tables import Alert, Entry, Notice


def alerts(session: Session, since: datetime, until: datetime) -> Iterator[Document]:
    """Each alert that stood at any moment of the period, when people were told, and who answered.

    What it said in full is sealed; `tend alerts --all` shows it.
    """
    stood = select(Alert).where(
        Alert.at < until, or_(Alert.cleared_at.is_(None), Alert.cleared_at >= since)
    )
    for alert in session.scalars(stood.order_by(Alert.id)):
        yield {
            "alert": alert_id(alert),
            "severity": alert.severity,
            "event": alert.event,
            "title": event(alert.event).title,
            "cause": alert.cause,
            "raised_at": stamp(alert.at),
            "told_at": _time(_told_at(session, alert)),
            "acknowledged_at": _time(alert.acknowledged_at),
            "acknowledged_by": alert.acknowledged_by,
            "escalated_at": _time(alert.escalated_at),
            "cleared_at": _time(alert.cleared_at),
        }


def alert_of(session: Session, failure: Entry) -> Document | None:
    """The first alert about this run or its policy that stood when it failed, or was raised then.

    None if there was none before the next success: what comes later is about something else.
    """
    about = [f"%/r-{failure.run_id}"] + ([f"%/{failure.policy}"] if failure.policy else [])
    good = select(Entry.at).where(
        Entry.id > failure.id, Entry.policy == failure.policy, Entry.action == "run_succeeded"
    )
    end = session.scalar(good.order_by(Entry.id).limit(1))
    query = select(Alert).where(
        or_(*(Alert.cause.like(cause) for cause in about)),
        or_(Alert.cleared_at.is_(None), Alert.cleared_at >= failure.at),
    )
    if end is not None:
        query = query.where(Alert.at <= end)
    alert = session.scalars(query.order_by(Alert.id).limit(1)).first()
    if alert is None:
        return None
    return {
        "alert": alert_id(alert),
        "severity": alert.severity,
        "raised_at": stamp(alert.at),
        "told_at": _time(_told_at(session, alert)),
        "acknowledged_by": alert.acknowledged_by,
        "after_seconds": max(0, int((alert.at - failure.at).total_seconds())),
    }


def _told_at(session: Session, alert: Alert) -> datetime | None:
    """When every channel had taken the first message of it."""
    first = select(Notice.sent_at).where(Notice.cause == f"alert/{alert.id}/first")
    return session.scalar(first)


def _time(moment: datetime | None) -> str | None:
    return None if moment is None else stamp(moment)
