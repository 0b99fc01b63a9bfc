"""With no scheduler left, a real worker notices, and tells people itself."""

import os
from datetime import timedelta

import pytest
from sqlalchemy import update

from tests.faults.processes import eventually
from tests.faults.processes import tend as started
from tests.worker.cli.conftest import Tend, bare, logging_as_it_was, tend, unmigrated
from tests.worker.receiver import Heard
from worker import database
from worker.database import Database
from worker.heartbeat import Heartbeat
from worker.tables import Process

__all__ = ["bare", "logging_as_it_was", "tend", "unmigrated"]


@pytest.mark.system
def test_a_worker_tells_that_no_scheduler_lives(bare: Tend, heard: Heard) -> None:
    channel, messages = heard
    control = Database(os.environ["TEND_DATABASE_URL"])
    bare.setting("TEND_NOTIFY_URLS", channel.url)
    Heartbeat(control, "scheduler").beat()
    with control.transaction() as session:
        long_ago = database.now(session) - timedelta(minutes=16)
        session.execute(update(Process).values(seen_at=long_ago))
    with started({}, "worker", "--processes", "1", "--threads", "1"):
        eventually(lambda: messages, seconds=90)
    control.close()
    assert "P0 a-1: No scheduler runs (answer within 1 h)" in messages[0]["message"]
    assert messages[0]["type"] == "failure"
