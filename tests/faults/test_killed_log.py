"""Whoever writes entries, or gives them positions, is killed before each of its statements."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable
from contextlib import closing

import pytest
from sqlalchemy import event, func, select, text

from tests.worker.audit.history import PERSON, POLICY, wanted
from tests.worker.audit.keeping import SIGNER, ids, positions, sequence, write
from worker import operations, runs
from worker.audit import verify
from worker.audit.sequencer import Sequencer
from worker.database import Database
from worker.tables import Entry, Position, Run, Switch, Unsequenced

SECONDS = 60
ENTRIES = 300
"""So many that a stored subtree becomes complete."""
_processes = multiprocessing.get_context("forkserver")
_processes.set_forkserver_preload([__name__])


def write_a_run(database: Database) -> None:
    with database.transaction() as session:
        runs.create(session, wanted(POLICY))


def enable_a_policy(database: Database) -> None:
    operations.enable(database, POLICY, PERSON)


def give_positions(database: Database) -> None:
    Sequencer(database, SIGNER).sequence()


def die_after(url: str, work: Callable[[Database], object], statements: int) -> None:
    """Do the work, and die before one of its statements, or its commit."""
    database, left = Database(url), [statements]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(database.engine, "before_cursor_execute", count)
    event.listen(database.engine, "commit", count)
    work(database)
    database.close()


def survives(database: Database, work: Callable[[Database], object], statements: int) -> bool:
    """Whether the work took no more statements; returns when the server knows that it is over."""
    url = database.engine.url.render_as_string(hide_password=False)
    process = _processes.Process(target=die_after, args=(url, work, statements))
    process.start()
    process.join()
    assert process.exitcode in (0, -signal.SIGKILL)
    until = time.monotonic() + SECONDS
    while _others(database):
        assert time.monotonic() < until
        time.sleep(0.01)
    return process.exitcode == 0


def _others(database: Database) -> int:
    """Connections that a server still holds for the dead."""
    if database.dialect == "sqlite":
        return 0
    others = text(
        "select count(*) from pg_stat_activity where backend_type = 'client backend' "
        "and datname = current_database() and pid <> pg_backend_pid()"
    )
    with database.transaction() as session:
        return int(session.scalar(others) or 0)


def count(database: Database, table: type[Entry | Position | Run | Switch | Unsequenced]) -> int:
    with database.transaction() as session:
        return int(session.scalar(select(func.count()).select_from(table)) or 0)


@pytest.mark.parametrize("work", [write_a_run, enable_a_policy])
def test_a_writer_killed_before_any_statement_leaves_all_of_it_or_nothing(
    database_url: str, work: Callable[[Database], object]
) -> None:
    with closing(Database(database_url)) as database:
        statements = 0
        while not survives(database, work, statements):
            assert count(database, Entry) == 0
            assert count(database, Unsequenced) == 0
            assert count(database, Run) + count(database, Switch) == 0
            statements += 1
        assert statements > 3
        assert count(database, Entry) == count(database, Unsequenced) == 1
        assert count(database, Run) + count(database, Switch) == 1
        sequence(database)
        assert positions(database) == list(enumerate(ids(database)))
        assert verify.verify(database, SIGNER, full=True).findings == []


def test_a_sequencer_killed_before_any_statement_leaves_nothing_half_done(
    database_url: str,
) -> None:
    with closing(Database(database_url)) as database:
        write(database, ENTRIES, "run_succeeded")
        statements = 0
        while not survives(database, give_positions, statements):
            assert (count(database, Position), count(database, Unsequenced)) == (0, ENTRIES)
            statements += 1
        assert statements > 3
        assert (count(database, Position), count(database, Unsequenced)) == (ENTRIES, 0)
        assert positions(database) == list(enumerate(ids(database)))
        assert verify.verify(database, SIGNER, full=True).findings == []
