"""Eight processes that write, and sequencers that are killed between any two statements."""

import multiprocessing
import os
import signal
import time
from multiprocessing.process import BaseProcess

from sqlalchemy import event, func, select

from tests.worker.audit.keeping import SIGNER, ids, positions, sequence, write
from worker import migrate
from worker.audit import verify
from worker.audit.sequencer import Sequencer
from worker.database import Database
from worker.tables import Position, Unsequenced

WRITERS, EACH = 8, 6
SECONDS = 30
PAUSE = 0.05
"""SQLite lets nobody in between transactions that follow each other at once."""
_processes = multiprocessing.get_context("spawn")


def work(url: str) -> None:
    database = Database(url)
    for _ in range(EACH):
        write(database, 2)
    database.close()


def give(url: str) -> None:
    """A sequencer that does nothing else, until it is killed."""
    database = Database(url)
    while True:
        Sequencer(database, SIGNER).sequence()
        time.sleep(PAUSE)


def die_after(url: str, statements: int) -> None:
    """A sequencer that kills itself before one of its statements, or its commit."""
    database, left = Database(url), [statements]

    def count(*_: object) -> None:
        left[0] -= 1
        if left[0] < 0:
            os.kill(os.getpid(), signal.SIGKILL)

    event.listen(database.engine, "before_cursor_execute", count)
    event.listen(database.engine, "commit", count)
    Sequencer(database, SIGNER).sequence()


def started(target: object, *arguments: object) -> BaseProcess:
    process = _processes.Process(target=target, args=arguments)  # type: ignore[arg-type] # any of the above
    process.start()
    return process


def test_eight_writers_and_three_sequencers_leave_one_log_without_gaps(database_url: str) -> None:
    database = Database(database_url)
    migrate.upgrade(database)
    sequencers = [started(give, database_url) for _ in range(3)]
    writers = [started(work, database_url) for _ in range(WRITERS)]
    for process in writers:
        process.join()
        assert process.exitcode == 0
    for process in sequencers:
        process.kill()
        process.join()
    sequence(database)
    given = positions(database)
    assert [position for position, _ in given] == list(range(WRITERS * EACH * 2))
    assert sorted(entry for _, entry in given) == ids(database)
    assert verify.verify(database, SIGNER, full=True).findings == []
    database.close()


def test_a_sequencer_killed_before_any_statement_leaves_nothing_half_done(sqlite_url: str) -> None:
    database = Database(sqlite_url)
    migrate.upgrade(database)
    write(database, 3, "run_succeeded")
    statements, until = 0, time.monotonic() + SECONDS
    while time.monotonic() < until:
        process = started(die_after, sqlite_url, statements)
        process.join()
        with database.transaction() as session:
            given = session.scalar(select(func.count()).select_from(Position))
            waiting = session.scalar(select(func.count()).select_from(Unsequenced))
        assert (given, waiting) in {(0, 3), (3, 0)}
        assert verify.verify(database, SIGNER, full=True).findings == []
        if process.exitcode == 0:
            break
        statements += 1
    assert statements > 0
    sequence(database)
    assert positions(database) == list(enumerate(ids(database)))
    database.close()
