"""The scheduler as a process: signals, replicas, and trouble that must not pass unseen."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from functools import partial
from multiprocessing.process import BaseProcess
from pathlib import Path

import pytest
from apscheduler.jobstores.memory import MemoryJobStore
from sqlalchemy import func, select

from tests.worker.scenario import sessions
from worker import scheduler
from worker.database import Database
from worker.errors import QueueUnreachable
from worker.tables import Doorbell, Process, Run

SECONDLY = sessions(schedule={"every": "1s"}, catchup="all")
Start = Callable[..., BaseProcess]
on_sqlite = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)


def serve(
    url: str, output: str, ring: Callable[[int], None], reconcile: Callable[[], None]
) -> None:
    """What a process of these tests does; all it prints goes to a file."""
    for stream in (1, 2):
        os.dup2(os.open(output, os.O_CREAT | os.O_WRONLY | os.O_APPEND), stream)
    scheduler.run(Database(url), [SECONDLY], "test", ring, reconcile)


def hear(run_id: int) -> None:
    print(f"heard {run_id}", flush=True)  # noqa: T201 - the test reads it in the process's output


def hear_once_redis_is_there(redis: Path, run_id: int) -> None:
    if not redis.exists():
        raise QueueUnreachable("Redis does not answer.")
    hear(run_id)


def do_nothing() -> None:
    """There is nothing to reconcile in most of these tests."""


def fail() -> None:
    raise ValueError("nothing to reconcile with")


def break_the_loop() -> None:
    def broken(_store: MemoryJobStore) -> None:
        raise RuntimeError("the job store is gone")

    MemoryJobStore.get_next_run_time = broken


@pytest.fixture
def output(tmp_path: Path) -> Path:
    return tmp_path / "output"


@pytest.fixture
def start(control: Database, database_url: str, output: Path) -> Iterator[Start]:
    """Starts schedulers on the control database, and ends those that a test leaves behind."""
    assert control.dialect
    started: list[BaseProcess] = []

    def begin(
        ring: Callable[[int], None] = hear, reconcile: Callable[[], None] = do_nothing
    ) -> BaseProcess:
        process = multiprocessing.get_context("spawn").Process(
            target=serve, args=(database_url, str(output), ring, reconcile)
        )
        process.start()
        started.append(process)
        return process

    yield begin
    for process in started:
        process.kill()
        process.join()


def eventually(happened: Callable[[], bool], seconds: float = 30) -> None:
    deadline = time.monotonic() + seconds
    while not happened():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.02)  # between two looks, not instead of one


def count(control: Database, table: type[Run | Doorbell | Process]) -> int:
    with control.transaction() as session:
        return session.scalar(select(func.count()).select_from(table)) or 0


def runs_reach(control: Database, number: int) -> Callable[[], bool]:
    return lambda: count(control, Run) >= number


@pytest.mark.system
@on_sqlite
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_ends_it_cleanly_within_seconds(
    control: Database, start: Start, number: signal.Signals
) -> None:
    process = start()
    eventually(lambda: count(control, Process) == 1)
    assert process.pid is not None
    os.kill(process.pid, number)
    process.join(5)
    assert process.exitcode == 0
    assert count(control, Process) == 0


@pytest.mark.system
@on_sqlite
def test_what_is_fired_is_rung(control: Database, start: Start, output: Path) -> None:
    start()
    eventually(lambda: output.exists() and "heard 1\n" in output.read_text())
    eventually(lambda: count(control, Doorbell) == 0)


@pytest.mark.system
def test_replicas_fire_each_slot_once_though_one_of_them_is_killed(
    control: Database, start: Start
) -> None:
    replicas = [start() for _ in range(3)]
    eventually(runs_reach(control, 3))
    replicas[0].kill()
    eventually(runs_reach(control, count(control, Run) + 3))
    replicas[1].terminate()
    replicas[1].join(10)
    assert replicas[1].exitcode == 0
    eventually(runs_reach(control, count(control, Run) + 2))
    with control.transaction() as session:
        slots = session.scalars(select(Run.scheduled_for).order_by(Run.scheduled_for)).all()
    first = slots[0]
    assert first is not None
    assert slots == [first + timedelta(seconds=number) for number in range(len(slots))]
    assert replicas[2].is_alive()


@pytest.mark.system
@on_sqlite
def test_while_redis_is_away_it_fires_complains_once_and_owes_the_rings(
    control: Database, start: Start, output: Path, tmp_path: Path
) -> None:
    redis = tmp_path / "redis"
    start(ring=partial(hear_once_redis_is_there, redis))
    eventually(runs_reach(control, 3))
    assert count(control, Doorbell) >= 3
    redis.touch()
    eventually(lambda: "tick works again" in output.read_text())
    heard = output.read_text()
    assert [number for number in (1, 2, 3) if f"heard {number}\n" not in heard] == []
    assert heard.count("Redis does not answer.") == 1


@pytest.mark.system
@on_sqlite
def test_a_reconciler_that_raises_is_logged_and_stops_nothing(
    control: Database, start: Start, output: Path
) -> None:
    process = start(reconcile=fail)
    eventually(lambda: output.exists() and "reconcile failed" in output.read_text())
    eventually(runs_reach(control, 2))
    assert process.is_alive()


@pytest.mark.system
@on_sqlite
def test_a_loop_that_dies_ends_the_process_with_an_error(start: Start, output: Path) -> None:
    process = start(reconcile=break_the_loop)
    process.join(30)
    assert process.exitcode == 1
    assert "loop has died" in output.read_text()
