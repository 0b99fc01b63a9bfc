"""`tend watch`: a run that goes on, one that waits, one that is over; Ctrl-C only detaches."""

import signal
import subprocess

import pytest

from tests.worker.cli.conftest import AMPLE, Tend
from tests.worker.cli.terminal import PATIENCE, Terminal
from tests.worker.cli.test_terminal import at_work

SLOW = AMPLE + "batch: {records: 1, pause: 1s}\nchunk: 25\n"


def test_a_run_that_is_over_is_shown_with_its_exit_code(tend: Tend) -> None:
    tend.old_sales(3)
    tend.json("run", "sales-retention", "--reason", "x", "--inline")
    shown = tend.json("watch", "r-1")
    assert (shown["state"], shown["changed"]) == ("succeeded", 3)
    assert "r-1 of sales-retention: succeeded" in tend("watch", "r-1").out
    tend.policy("sales-retention", "guards: {max_records: 0, max_percent: 100}\n")
    tend.old_sales(3)
    assert tend("run", "sales-retention", "--reason", "x", "--inline").code == 3
    refused = tend("watch", "r-2")
    assert refused.code == 3
    assert "r-2 was refused by a guard" in refused.err


def test_a_run_that_does_not_exist_is_bad_usage(tend: Tend) -> None:
    ended = tend("watch", "r-7", "--json")
    assert (ended.code, ended.json["error"]["code"]) == (2, "run_unknown")


@pytest.mark.system
def test_a_run_at_work_is_followed_to_its_end(tend: Tend) -> None:
    tend.policy("sales-retention", AMPLE + "batch: {records: 1, pause: 1s}\n")
    tend.old_sales(15)
    tend.json("plan", "sales-retention")
    with at_work(tend, "apply", "r-1", "--reason", "x", "--inline"):
        watched = subprocess.run(
            tend.command("watch", "r-1"),
            capture_output=True,
            text=True,
            check=False,
            timeout=PATIENCE,
        )
    assert watched.returncode == 0
    assert "r-1 applying" in watched.stderr
    assert " of 15" in watched.stderr
    assert "/s, about " in watched.stderr
    assert "r-1 of sales-retention: succeeded" in watched.stdout


@pytest.mark.system
def test_ctrl_c_detaches_and_the_run_goes_on(tend: Tend) -> None:
    tend.policy("sales-retention", SLOW)
    tend.old_sales(40)
    tend.json("plan", "sales-retention")
    words = ("apply", "r-1", "--reason", "x", "--inline")
    with at_work(tend, *words) as process, Terminal(tend, "watch", "r-1") as terminal:
        terminal.wait_for("r-1 applying")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 0
        assert process.poll() is None
    assert "r-1 goes on without this command" in terminal.shown
    assert "Traceback" not in terminal.shown


@pytest.mark.system
def test_a_run_that_waits_says_for_what(tend: Tend) -> None:
    tend.old_sales(3)
    assert tend("run", "sales-retention", "--reason", "x").code == 0
    with Terminal(tend, "watch", "r-1") as terminal:
        terminal.wait_for("waits for a worker; none is running")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.end() == 0
