"""`tend migrate` beside another process that migrates."""

import threading
from contextlib import closing

import pytest
from sqlalchemy import text

from tests.worker.cli.conftest import Ended, Tend
from worker import database
from worker.database import Database

LONGER = 2.0
"""Seconds, several times what a transaction that works would wait here."""


def test_it_waits_for_its_turn_longer_than_a_process_that_works_would(
    unmigrated: Tend, sqlite_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    ended: list[Ended] = []
    waits = threading.Thread(target=lambda: ended.append(unmigrated("migrate")))
    with closing(Database(sqlite_url)) as other, other.transaction() as session:
        session.execute(text("select 1"))  # and so it has the lock
        monkeypatch.setattr(database, "BUSY_SECONDS", 0.1)
        waits.start()
        waits.join(LONGER)
        assert waits.is_alive()
    waits.join(60)
    assert [each.code for each in ended] == [0]
