"""Eight processes that write, and sequencers that are killed while they do."""

import multiprocessing
import time
from multiprocessing.process import BaseProcess

import pytest

from tests.worker.audit.keeping import SIGNER, ids, positions, sequence, write
from worker.audit import verify
from worker.audit.sequencer import Sequencer
from worker.database import Database

WRITERS, EACH = 8, 6
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


def started(target: object, *arguments: object) -> BaseProcess:
    process = _processes.Process(target=target, args=arguments)  # type: ignore[arg-type] # any of the above
    process.start()
    return process


@pytest.mark.system
def test_eight_writers_and_three_sequencers_leave_one_log_without_gaps(database_url: str) -> None:
    database = Database(database_url)
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
