"""On a terminal: the name is asked for, a bar is shown, and Ctrl-C leaves a run to go on with."""

import os
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.worker.cli.conftest import AMPLE, Tend
from tests.worker.cli.terminal import PATIENCE, Terminal
from worker import planner
from worker.cli.working import Signals

PROMPT = "Type sales-retention to change these records: "
SLOW = AMPLE + "batch: {records: 1, pause: 1s}\nchunk: 25\n"


@contextmanager
def at_work(tend: Tend, *words: str) -> Iterator[subprocess.Popen[str]]:
    """A command without a terminal that has changed something and has more to do."""
    before = tend.shop.salesData.count_documents({})
    until = time.monotonic() + PATIENCE
    process = subprocess.Popen(
        tend.command(*words), text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    try:
        while tend.shop.salesData.count_documents({}) == before:
            assert time.monotonic() < until
            assert process.poll() is None
        yield process
    finally:
        process.kill()
        process.communicate()


@pytest.mark.system
def test_a_run_shows_its_plan_and_asks_for_the_name(tend: Tend) -> None:
    tend.old_sales(30)
    with Terminal(tend, "run", "sales-retention", "--reason", "x", "--inline") as terminal:
        terminal.wait_for(PROMPT)
        assert "30 of 30" in terminal.shown
        assert tend.shop.salesData.count_documents({}) == 30
        terminal.type("sales-retention\n")
        assert terminal.end() == 0
    assert "succeeded" in terminal.shown
    assert tend.shop.salesData.count_documents({}) == 0


@pytest.mark.system
@pytest.mark.parametrize("answer", ["sales\n", "\n", "y\n", "\x04"])
def test_another_answer_cancels_the_run(tend: Tend, answer: str) -> None:
    tend.old_sales(30)
    with Terminal(tend, "run", "sales-retention", "--reason", "x", "--inline") as terminal:
        terminal.wait_for(PROMPT)
        terminal.type(answer)
        assert terminal.end() == 1
    assert "r-1 is cancelled and nothing was changed" in terminal.shown
    assert tend.json("show", "r-1")["state"] == "cancelled"
    assert tend.shop.salesData.count_documents({}) == 30


@pytest.mark.system
def test_ctrl_c_at_the_question_cancels_the_run(tend: Tend) -> None:
    tend.old_sales(3)
    with Terminal(tend, "run", "sales-retention", "--reason", "x") as terminal:
        terminal.wait_for(PROMPT)
        assert terminal.interrupt() == 1
    assert tend.json("show", "r-1")["state"] == "cancelled"
    assert "Traceback" not in terminal.shown


@pytest.mark.system
def test_for_a_program_on_a_terminal_the_name_is_asked_for_too(tend: Tend) -> None:
    tend.old_sales(3)
    with Terminal(tend, "run", "sales-retention", "--reason", "x", "--inline", "--json") as one:
        one.wait_for(PROMPT)
        one.type("sales-retention\n")
        assert one.end() == 0
    assert '"state": "succeeded"' in one.shown


@pytest.mark.system
def test_yes_asks_nothing(tend: Tend) -> None:
    tend.old_sales(3)
    words = ("run", "sales-retention", "--reason", "x", "--inline", "--yes")
    with Terminal(tend, *words) as terminal:
        assert terminal.end() == 0
    assert PROMPT not in terminal.shown
    assert tend.shop.salesData.count_documents({}) == 0


@pytest.mark.system
def test_what_a_guard_refuses_is_not_asked_about(tend: Tend) -> None:
    tend.old_sales(30)
    tend.policy("sales-retention", "guards: {max_records: 29, max_percent: 100}\n")
    with Terminal(tend, "run", "sales-retention", "--reason", "x", "--inline") as terminal:
        assert terminal.end() == 3
    assert PROMPT not in terminal.shown
    assert "was refused by a guard" in terminal.shown


@pytest.mark.system
def test_apply_never_asks(tend: Tend) -> None:
    tend.old_sales(3)
    tend.json("plan", "sales-retention")
    with Terminal(tend, "apply", "r-1", "--reason", "x", "--inline") as terminal:
        assert terminal.end() == 0
    assert tend.shop.salesData.count_documents({}) == 0


@pytest.mark.system
def test_after_the_question_the_workers_take_over_without_inline(tend: Tend) -> None:
    tend.old_sales(3)
    with Terminal(tend, "run", "sales-retention", "--reason", "x") as terminal:
        terminal.wait_for(PROMPT)
        terminal.type("sales-retention\n")
        assert terminal.end() == 0
    run = tend.json("show", "r-1")
    assert (run["state"], run["changed"]) == ("applying", 0)
    assert run["waiting_for"].startswith("a worker; none")


@pytest.mark.system
def test_a_bar_shows_how_far_it_is_on_a_terminal(tend: Tend) -> None:
    tend.old_sales(60)
    tend.json("plan", "sales-retention")
    with Terminal(tend, "apply", "r-1", "--reason", "x", "--inline") as terminal:
        assert terminal.end() == 0
    assert "r-1 applying" in terminal.shown
    assert "━" in terminal.shown


@pytest.mark.system
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupted_inline_run_can_be_resumed(
    tend: Tend, number: signal.Signals, code: int
) -> None:
    tend.policy("sales-retention", SLOW)
    tend.old_sales(60)
    tend.json("plan", "sales-retention")
    with at_work(tend, "apply", "r-1", "--reason", "x", "--inline", "--json") as process:
        process.send_signal(number)
        out, err = process.communicate(timeout=60)
        assert process.returncode == code
    assert "Interrupted; continue with `tend resume r-1 --inline`." in err
    assert '"code": "interrupted"' in out
    assert "Traceback" not in err
    stopped = tend.json("show", "r-1")
    assert (stopped["state"], stopped["error"]) == (
        "failed",
        "interrupted by the person who ran it",
    )
    assert stopped["chunks"]["apply"].get("claimed") is None
    assert stopped["changed"] == 60 - tend.shop.salesData.count_documents({})
    assert 0 < stopped["skipped"]["not_reached"] < 60


@pytest.mark.system
def test_an_interrupted_run_is_finished_by_its_resume(tend: Tend) -> None:
    tend.policy("sales-retention", AMPLE + "batch: {records: 5, pause: 1s}\n")
    tend.old_sales(10)
    tend.json("plan", "sales-retention")
    with at_work(tend, "apply", "r-1", "--reason", "x", "--inline") as process:
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    resumed = tend.json("resume", "r-1", "--reason", "go on", "--inline")
    assert (resumed["state"], resumed["changed"]) == ("succeeded", 10)
    assert tend.shop.salesData.count_documents({}) == 0


def test_an_interrupted_plan_can_be_made_after_all(
    tend: Tend, monkeypatch: pytest.MonkeyPatch
) -> None:
    tend.old_sales(3)
    original = planner.plan

    def presses_ctrl_c(*_: object, **__: object) -> None:
        signal.raise_signal(signal.SIGINT)

    monkeypatch.setattr(planner, "plan", presses_ctrl_c)
    ended = tend("plan", "sales-retention", "--json")
    assert (ended.code, ended.json["error"]["code"]) == (130, "interrupted")
    assert "continue with `tend resume r-1 --inline`" in ended.err
    monkeypatch.setattr(planner, "plan", original)
    resumed = tend.json("resume", "r-1", "--reason", "again", "--inline")
    assert (resumed["state"], resumed["planned"]) == ("planned", 3)


def test_the_second_signal_does_not_wait_for_the_batch() -> None:
    draining = threading.Event()
    with Signals(draining):
        signal.raise_signal(signal.SIGINT)
        assert draining.wait(PATIENCE)
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGTERM)


def test_while_it_plans_the_first_signal_is_enough() -> None:
    with Signals(threading.Event()) as signals, signals.at_once():
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
        assert signals.asked == signal.SIGINT


@pytest.mark.system
def test_a_command_whose_reader_has_gone_says_nothing_more(tend: Tend) -> None:
    read, write = os.pipe()
    os.close(read)
    with os.fdopen(write) as closed:
        ended = subprocess.run(
            tend.command("policies"), stdout=closed, stderr=subprocess.PIPE, text=True, check=False
        )
    assert ended.returncode == 1
    assert "Traceback" not in ended.stderr
