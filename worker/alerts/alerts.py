"""Raising and clearing: rows in the transaction of what they are about; telling comes later."""

import json
from dataclasses import dataclass

import structlog
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from jobs.task import Alert as Wanted
from worker import database
from worker.alerts.events import EVENTS, Severity, event
from worker.keys import Keyring
from worker.logs import redact_text
from worker.tables import Alert
from worker.vault import open_vault

FAMILY = "alerts"

log = structlog.get_logger()


@dataclass(frozen=True)
class Said:
    """The sealed words of an alert."""

    text: str
    unaffected: str
    next: str


def raise_alert(session: Session, keyring: Keyring, wanted: Wanted) -> bool:
    """Let an alert stand; False if one of this cause does, which then says what is said now."""
    if wanted.event not in EVENTS:
        log.error("alert of an event that is not in the table", alert_event=wanted.event)
    standing = _standing(session, wanted.cause)
    if standing is not None:
        _say_anew(session, keyring, standing, wanted)
        return False
    known = event(wanted.event)
    raised = Alert(
        event=wanted.event,
        cause=wanted.cause,
        severity=Severity(wanted.severity or known.severity),
        text=_seal(session, keyring, wanted),
        at=database.now(session),
    )
    try:
        with session.begin_nested():
            session.add(raised)
    except IntegrityError:  # another process raised it in the same moment
        return False
    log.warning("alert raised", alert=alert_id(raised), alert_event=wanted.event)
    return True


def clear_alert(session: Session, cause: str) -> bool:
    """End the alert of this cause, by compare-and-set; False if none stands."""
    session.flush()
    standing = update(Alert).where(Alert.cause == cause, Alert.cleared_at.is_(None))
    cleared = standing.values(cleared_at=database.now(session))
    return database.rows_changed(session, cleared) == 1


def said(session: Session, keyring: Keyring, alert: Alert) -> Said:
    """What an alert says."""
    opened = open_vault(session, keyring, FAMILY).open(alert.text, _name_of(alert.cause))
    return Said(**json.loads(opened))


def alert_id(alert: Alert) -> str:
    return f"a-{alert.id}"


def _standing(session: Session, cause: str) -> Alert | None:
    query = select(Alert).where(Alert.cause == cause, Alert.cleared_at.is_(None))
    return session.scalars(query).first()


def _say_anew(session: Session, keyring: Keyring, standing: Alert, wanted: Wanted) -> None:
    if said(session, keyring, standing) != _words(wanted):
        standing.text = _seal(session, keyring, wanted)


def _seal(session: Session, keyring: Keyring, wanted: Wanted) -> bytes:
    plain = json.dumps(vars(_words(wanted)), ensure_ascii=False).encode()
    return open_vault(session, keyring, FAMILY).seal(plain, _name_of(wanted.cause))


def _words(wanted: Wanted) -> Said:
    """What is said, without what looks like a secret or an e-mail address."""
    known = event(wanted.event)
    return Said(
        text=redact_text(wanted.text),
        unaffected=redact_text(wanted.unaffected or known.unaffected),
        next=redact_text(wanted.next or known.next),
    )


def _name_of(cause: str) -> str:
    return f"alert/{cause}"
