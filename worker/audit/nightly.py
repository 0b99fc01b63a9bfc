"""Every night the whole log is verified, by one of the schedulers, and what is off is cried out."""

from collections.abc import Iterator
from datetime import datetime, timedelta

import structlog
from sqlalchemy import update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from worker import database as control_database
from worker.audit import anchors, keeping
from worker.audit.findings import Report
from worker.audit.signing import Signer
from worker.audit.verify import remember, verify
from worker.chores import Chore
from worker.database import Database
from worker.settings import Settings
from worker.tables import ScheduleCursor

LOOK_SECONDS = 60
HOUR = 2
"""In UTC."""
_NAME = "audit verify --full"
"""No policy can have this name."""

log = structlog.get_logger()


def chores(settings: Settings, database: Database) -> Iterator[Chore]:
    """The chore of a scheduler."""
    if keeping.can_sign(settings):
        signer, outside = Signer.from_settings(settings), anchors.from_settings(settings)

        def look() -> None:
            verify_if_due(database, signer, outside)

        yield Chore("nightly audit verification", look, LOOK_SECONDS)


def verify_if_due(
    database: Database, signer: Signer, outside: anchors.Anchors | None
) -> Report | None:
    """Verify everything if this night's turn has come and nobody has taken it."""
    if not _taken(database):
        return None
    report = verify(database, signer, outside, full=True)
    remember(database, report)
    if report.faults:
        log.error(
            "the audit log does not verify",
            integrity=report.integrity,
            completeness=report.completeness,
            first=report.findings[0].says,
        )
    else:
        log.info("the audit log verifies", entries=report.entries)
    return report


def _taken(database: Database) -> bool:
    """Whether this process is the one to do it: compare-and-set on the night.

    A new installation has nothing to verify in its first night.
    """
    try:
        with database.transaction() as session:
            night = _night(control_database.now(session))
            cursor = session.get(ScheduleCursor, _NAME)
            if cursor is None:
                session.add(ScheduleCursor(policy=_NAME, schedule="nightly", through=night))
                return False
            return cursor.through < night and _moved(session, cursor.through, night)
    except IntegrityError:
        return False  # another scheduler began at the same moment


def _moved(session: Session, before: datetime, night: datetime) -> bool:
    turn = update(ScheduleCursor).where(
        ScheduleCursor.policy == _NAME, ScheduleCursor.through == before
    )
    return control_database.rows_changed(session, turn.values(through=night)) == 1


def _night(moment: datetime) -> datetime:
    """The latest time that a verification was due."""
    due = moment.replace(hour=HOUR, minute=0, second=0, microsecond=0)
    return due if due <= moment else due - timedelta(days=1)
