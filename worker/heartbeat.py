"""Signs of life: one row for each scheduler and worker, renewed while it runs."""

import os
import socket
from datetime import datetime, timedelta
from uuid import uuid4

from sqlalchemy import delete, func, select, update
from sqlalchemy.orm import Session

from worker import database
from worker.database import Database
from worker.measuring import Measures
from worker.tables import Process

KEPT = timedelta(days=1)


class Heartbeat:
    """This process's row: `beat` every few seconds, `stop` when it ends as it should."""

    def __init__(self, db: Database, kind: str, measures: Measures | None = None) -> None:
        self._db = db
        self._kind = kind
        self._measures = measures or Measures()
        self._id = uuid4().hex

    def beat(self) -> None:
        """Say that this process lives, and forget those that have been silent for a day."""
        measured = self._measures.now()
        with self._db.transaction() as session:
            moment = database.now(session)
            renewal = (
                update(Process)
                .where(Process.id == self._id)
                .values(seen_at=moment, measured=measured)
            )
            if database.rows_changed(session, renewal) == 0:
                session.add(
                    Process(
                        id=self._id,
                        kind=self._kind,
                        host=socket.gethostname(),
                        pid=os.getpid(),
                        started_at=moment,
                        seen_at=moment,
                        measured=measured,
                    )
                )
            session.execute(delete(Process).where(Process.seen_at < moment - KEPT))

    def stop(self) -> None:
        """Take the row away; that of a process that died stays and grows old."""
        with self._db.transaction() as session:
            session.execute(delete(Process).where(Process.id == self._id))


def last_seen(session: Session, kind: str) -> datetime | None:
    """When a process of this kind last gave a sign of life; None when there is no row."""
    return session.scalar(select(func.max(Process.seen_at)).where(Process.kind == kind))
