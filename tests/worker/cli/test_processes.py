"""The long-running processes: they start, share the work with commands, and stop gently."""

import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import psutil
import pytest
from sqlalchemy import select

from tests.worker.cli.conftest import Tend
from tests.worker.cli.terminal import PATIENCE
from worker.database import Database
from worker.tables import Process


def seen(kind: str) -> int:
    """How many processes of this kind have a heartbeat."""
    database = Database(os.environ["TEND_DATABASE_URL"])
    with database.transaction() as session:
        count = len(session.scalars(select(Process).where(Process.kind == kind)).all())
    database.close()
    return count


@contextmanager
def running(tend: Tend, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A process in a group of its own, as a supervisor starts it."""
    process = subprocess.Popen(
        tend.command(*words), stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


@contextmanager
def workers(tend: Tend, processes: int = 2) -> Iterator[subprocess.Popen[str]]:
    """`tend worker`, once all its processes are ready."""
    with running(tend, "worker", "--processes", str(processes), "--threads", "2") as worker:
        assert worker.stderr is not None
        for _ in range(processes):
            while "ready for action" not in (line := worker.stderr.readline()):
                assert line
        yield worker


def gone(processes: list[psutil.Process]) -> bool:
    return not psutil.wait_procs(processes, timeout=PATIENCE)[1]


@pytest.mark.system
def test_a_worker_does_what_commands_ask_for(tend: Tend) -> None:
    tend.old_sales(60)
    before = list(tend.shop.salesData.find().sort("_id"))
    with workers(tend, 1):
        run = tend.json("run", "sales-retention", "--reason", "x", "--wait")
        assert (run["state"], run["changed"]) == ("succeeded", 60)
        undone = tend.json("undo", "r-1", "--reason", "x", "--wait")
        assert (undone["state"], undone["restored"]) == ("undone", 60)
        assert list(tend.shop.salesData.find().sort("_id")) == before
        tend.json("plan", "sales-retention")
        applied = tend("apply", "r-2", "--reason", "x", "--wait")
        assert applied.code == 0
        assert "r-2 of sales-retention: succeeded" in applied.out
        tend.old_sales(30)
        tend.policy("sales-retention", "guards: {max_records: 29, max_percent: 100}\n")
        refused = tend("run", "sales-retention", "--reason", "x", "--wait", "--json")
        assert (refused.code, refused.json["state"]) == (3, "refused")


@pytest.mark.system
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_signal_to_the_whole_group_stops_a_worker_gently(
    tend: Tend, number: signal.Signals
) -> None:
    with workers(tend) as worker:
        family = psutil.Process(worker.pid).children(recursive=True)
        assert len(family) >= 3
        os.killpg(worker.pid, number)
        os.killpg(worker.pid, number)
        assert worker.wait(PATIENCE) == 0
        assert gone(family)
    assert seen("worker") == 0


@pytest.mark.system
def test_workers_do_not_outlive_the_command_that_started_them(tend: Tend) -> None:
    with workers(tend, 1) as worker:
        family = psutil.Process(worker.pid).children(recursive=True)
        worker.kill()
        assert gone(family)


@pytest.mark.system
@pytest.mark.parametrize("victim", [0, 1])
def test_a_killed_process_ends_the_command_and_its_siblings(tend: Tend, victim: int) -> None:
    with workers(tend) as worker:
        family = psutil.Process(worker.pid).children(recursive=True)
        family[victim].kill()
        assert worker.wait(PATIENCE) not in {0, None}
        assert gone(family)


@pytest.mark.system
def test_a_scheduler_rings_and_stops_when_asked(tend: Tend) -> None:
    with running(tend, "scheduler") as scheduler:
        until = time.monotonic() + PATIENCE
        while seen("scheduler") == 0:
            assert time.monotonic() < until
            assert scheduler.poll() is None
        scheduler.terminate()
        assert scheduler.wait(PATIENCE) == 0
    assert seen("scheduler") == 0


def test_without_a_worker_a_run_is_accepted_and_says_what_it_waits_for(tend: Tend) -> None:
    run = tend.json("run", "text-dates", "--reason", "x")
    assert run["state"] == "queued"
    assert run["waiting_for"].startswith("a worker; none")
    assert run["waiting_for"] in tend("show", "r-1").out


def test_without_redis_a_run_is_accepted_and_told_about(tend: Tend) -> None:
    tend.setting("TEND_REDIS_URL", "redis://127.0.0.1:1/0")
    ended = tend("run", "text-dates", "--reason", "x", "--json")
    assert (ended.code, ended.json["state"]) == (0, "queued")
    assert "Redis does not answer; check TEND_REDIS_URL. The run is accepted" in ended.err
    tend.json("plan", "sales-retention")
    assert tend("apply", "r-2", "--reason", "x", "--json").json["state"] == "applying"


@pytest.mark.system
def test_ctrl_c_while_watching_leaves_the_run_to_the_workers(tend: Tend) -> None:
    process = subprocess.Popen(
        tend.command("run", "text-dates", "--reason", "x", "--wait"),
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr is not None
    assert "r-1 queued, waits for a worker" in process.stderr.readline()
    process.send_signal(signal.SIGINT)
    _, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 130
    assert "r-1 goes on without this command" in err
    assert tend.json("show", "r-1")["state"] == "queued"


def test_migrating_twice_does_nothing_the_second_time(unmigrated: Tend) -> None:
    first = unmigrated("migrate", "--json")
    assert (first.code, len(first.json["applied"])) == (0, 1)
    assert unmigrated("migrate", "--json").json == {"applied": []}
    assert "nothing to migrate" in unmigrated("migrate").out
