"""Waiting until the batches that had begun have ended."""

import time
from collections.abc import Callable

from sqlalchemy.orm import Session

from worker.claims import LEASE
from worker.database import Database

POLL_SECONDS = 0.1


def await_batches(database: Database, is_at_work: Callable[[Session], bool]) -> None:
    """A batch that had begun commits or fails within its lease."""
    until = time.monotonic() + LEASE.total_seconds()
    while time.monotonic() < until:
        with database.transaction() as session:
            if not is_at_work(session):
                return
        time.sleep(POLL_SECONDS)
