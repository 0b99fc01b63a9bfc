"""What the database does for a page, beside a short and a long history."""

import sqlite3
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from pydantic import SecretStr
from sqlalchemy import event, insert

from tests.worker.console.conftest import serving
from tests.worker.console.people import entered
from worker import migrate
from worker.console.installation import Installation
from worker.console.pages import outlook
from worker.console.readiness import Readiness
from worker.database import Database, now
from worker.settings import Settings
from worker.states import State
from worker.tables import Chunk, Run

FEW, MANY = 300, 3_000
"""Runs, one every two hours; the last days are full in both."""
POLICIES = ("session-cleanup", "sales-retention", "text-dates", "oauth-state-cleanup")
PAGES = ("/", "/runs", "/runs?state=failed", "/runs?policy=text-dates", "/policies", "/brake")
STEPS = 2_000
"""Of SQLite's machine: fewer than one for each run that there is more."""


@contextmanager
def _beside(path: Path, runs: int) -> Iterator[Installation]:
    url = f"sqlite:///{path}"
    settings = Settings(env="test", database_url=SecretStr(url))
    with closing(Database(url)) as database:
        migrate.upgrade(database)
        _fill(database, runs)
        yield Installation(settings, database, Readiness(database, seconds=0.5))


def _fill(database: Database, runs: int) -> None:
    with database.transaction() as session:
        moment = now(session)
        at = {number: moment - timedelta(hours=2 * (runs - number)) for number in range(runs)}
        session.execute(insert(Run), [_run(number, at[number]) for number in at])
        session.execute(insert(Chunk), [_chunk(number, at[number]) for number in at])


def _run(number: int, at: datetime) -> dict[str, Any]:
    return {
        "id": number + 1,
        "policy": POLICIES[number % len(POLICIES)],
        "policy_version": "0" * 64,
        "policy_text": "{}",
        "environment": "test",
        "state": State.FAILED if number % 3 == 0 else State.SUCCEEDED,
        "trigger": "schedule",
        "apply_after_plan": True,
        "actor": "tend-scheduler",
        "actor_proof": "claimed",
        "reason": "its schedule",
        "created_at": at,
        "finished_at": at,
    }


def _chunk(number: int, at: datetime) -> dict[str, Any]:
    done = {"direction": "apply", "number": 0, "items": 5, "changed": 5, "state": "done"}
    return {"run_id": number + 1, "finished_at": at, **done}


@contextmanager
def _worked(database: Database) -> Iterator[Counter[str]]:
    """The steps that SQLite takes meanwhile, by the name of the thread that asks."""
    steps: Counter[str] = Counter()

    def count() -> int:
        steps[threading.current_thread().name] += 1
        return 0

    def watch(connection: sqlite3.Connection, *_rest: Any) -> None:
        connection.set_progress_handler(count, 1)

    database.engine.dispose()
    event.listen(database.engine, "connect", watch)
    yield steps
    event.remove(database.engine, "connect", watch)


def _of_pages(path: Path, runs: int) -> dict[str, int]:
    with _beside(path, runs) as here, serving(here) as port:
        browser = entered(here.database, port, "admin")
        found = {}
        for page in PAGES:
            with _worked(here.database) as steps:
                assert browser.get(page).status == 200
            found[page] = sum(n for name, n in steps.items() if name != "lookout")
        return found


def test_no_page_takes_longer_as_history_grows(tmp_path: Path) -> None:
    few = _of_pages(tmp_path / "few.sqlite", FEW)
    many = _of_pages(tmp_path / "many.sqlite", MANY)
    assert all(few.values())
    assert {page: steps for page, steps in many.items() if steps > few[page] + STEPS} == {}


def test_what_is_looked_at_beside_the_pages_takes_no_longer_either(tmp_path: Path) -> None:
    steps = []
    for runs in (FEW, MANY):
        with _beside(tmp_path / f"{runs}.sqlite", runs) as here:
            with _worked(here.database) as worked:
                outlook.look(here)
            steps.append(worked.total())
    assert 0 < steps[1] < steps[0] + STEPS
