"""What the demonstration does when another run is in the way of its undo."""

import time
from pathlib import Path

import pytest
from rich.console import Console
from sqlalchemy import update

from demo import __main__ as demonstration
from demo.__main__ import Stage, _undone
from tests.worker.cli.conftest import Tend, bare, logging_as_it_was, tend, unmigrated
from worker.database import Database
from worker.states import State
from worker.tables import Run

__all__ = ["bare", "logging_as_it_was", "tend", "unmigrated"]
WHY = ("--reason", "a test")
REST = 0.123


@pytest.mark.system
def test_an_undo_waits_for_what_plans_at_the_same_records(
    tend: Tend, sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    control = Database(sqlite_url)

    def planned_is(state: State) -> None:
        with control.transaction() as session:
            session.execute(update(Run).where(Run.id == 2).values(state=state))

    rests, sleep = [], time.sleep

    def rest(seconds: float) -> None:
        if seconds != REST:  # somebody else's
            sleep(seconds)
            return
        rests.append(seconds)
        planned_is(State.CANCELLED)

    tend.old_sales(3)
    tend.json("run", "sales-retention", *WHY, "--yes", "--inline")
    tend.json("plan", "sales-retention")
    planned_is(State.PLANNING)
    monkeypatch.setattr(demonstration, "POLL_SECONDS", REST)
    monkeypatch.setattr(time, "sleep", rest)
    with control.transaction() as session:
        run = session.get_one(Run, 1)
    stage = Stage(Console(), {}, tend.shop.client, control, tmp_path)
    undone = _undone(stage, run, *WHY, "--inline")
    assert (undone["restored"], len(rests)) == (3, 1)
    assert tend.shop.salesData.count_documents({}) == 3
    control.close()
