"""Signs of life of schedulers and workers."""

import os
from datetime import timedelta

from sqlalchemy import func, select, update

from worker import database
from worker.database import Database
from worker.heartbeat import Heartbeat, last_seen
from worker.tables import Process


def count(control: Database) -> int:
    with control.transaction() as session:
        return session.scalar(select(func.count()).select_from(Process)) or 0


def test_a_beating_process_has_one_row_that_is_seen_now(control: Database) -> None:
    heartbeat = Heartbeat(control, "worker")
    heartbeat.beat()
    with control.transaction() as session:
        before = database.now(session)
    heartbeat.beat()
    with control.transaction() as session:
        row = session.scalars(select(Process)).one()
        seen = last_seen(session, "worker")
    assert (row.kind, row.pid) == ("worker", os.getpid())
    assert seen == row.seen_at
    assert row.started_at <= before <= row.seen_at


def test_the_kinds_are_told_apart(control: Database) -> None:
    Heartbeat(control, "worker").beat()
    with control.transaction() as session:
        assert last_seen(session, "scheduler") is None


def test_a_clean_end_takes_away_its_own_row_alone(control: Database) -> None:
    stopping, staying = Heartbeat(control, "worker"), Heartbeat(control, "worker")
    stopping.beat()
    staying.beat()
    stopping.stop()
    assert count(control) == 1
    staying.stop()
    assert count(control) == 0


def test_a_process_silent_for_more_than_a_day_is_forgotten(control: Database) -> None:
    Heartbeat(control, "worker").beat()
    with control.transaction() as session:
        long_ago = database.now(session) - timedelta(days=1, seconds=1)
        session.execute(update(Process).values(seen_at=long_ago))
    Heartbeat(control, "scheduler").beat()
    with control.transaction() as session:
        assert session.scalars(select(Process.kind)).all() == ["scheduler"]


def test_a_row_taken_away_from_under_a_living_process_comes_back(control: Database) -> None:
    heartbeat = Heartbeat(control, "worker")
    heartbeat.beat()
    heartbeat.stop()
    heartbeat.beat()
    assert count(control) == 1
