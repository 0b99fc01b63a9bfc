"""`tend brake`: what it says stops and goes on, and that it works when other things do not."""

import os
import threading
import time
from typing import Any

import pytest

from tests.worker.cli.conftest import AMPLE, Tend
from tests.worker.cli.terminal import PATIENCE
from tests.worker.cli.test_processes import workers
from worker import braking
from worker.database import Database
from worker.identity import Actor
from worker.operations import Person


def eventually(tend: Tend, run: str, state: str) -> dict[str, Any]:
    deadline = time.monotonic() + PATIENCE
    while (shown := tend.json("show", run))["state"] != state:
        assert time.monotonic() < deadline, shown
        time.sleep(0.05)
    return shown


def release() -> None:
    database = Database(os.environ["TEND_DATABASE_URL"])
    person = Person(Actor("another@here", "claimed"), "mended")
    braking.release(database, None, person, everything=False)
    database.close()


def test_a_brake_is_shown_with_who_and_why_until_it_is_released(tend: Tend) -> None:
    assert tend("brake", "show").out.splitlines()[0] == "[development] no brake is pulled"
    pulled = tend("brake", "pull", "--reason", "CASE-1: a wrong cutoff")
    lines = [line.split() for line in pulled.out.splitlines()]
    assert lines[0] == ["[development]", "the", "brake", "is", "pulled"]
    assert ["for", *["every", "policy", "but", "the", "security", "jobs"]] in lines
    assert ["reason", *["CASE-1:", "a", "wrong", "cutoff"]] in lines
    assert ["stops", "sales-retention"] in lines
    shown = tend.json("brake", "show")
    (brake,) = shown["brakes"]
    assert (brake["policy"], brake["everything"]) == (None, False)
    assert "sales-retention" in shown["policies"]["stopped"]
    assert shown["policies"]["goes_on"] == [
        "audit-verification",
        "lockout-release",
        "login-lockout",
    ]
    released = tend.json("brake", "release", "--reason", "CASE-1: mended")
    assert released["brakes"] == []
    assert released["policies"]["stopped"] == []


def test_a_brake_for_one_policy_says_that_the_others_go_on(tend: Tend) -> None:
    tend.old_sales(30)
    tend.json("run", "sales-retention", "--reason", "x")
    pulled = tend.json("brake", "pull", "--policy", "sales-retention", "--reason", "CASE-2")
    assert pulled["policies"]["stopped"] == ["sales-retention"]
    assert "text-dates" in pulled["policies"]["goes_on"]
    (run,) = pulled["runs"]["goes_on"]
    assert (run["id"], run["why"]) == ("r-1", "it changes nothing now")


def test_an_inline_run_waits_for_the_brake_and_goes_on_when_it_is_released(tend: Tend) -> None:
    tend.old_sales(30)
    tend.json("plan", "sales-retention")
    tend.json("brake", "pull", "--reason", "CASE-3")
    later = threading.Timer(2, release)
    later.start()
    ended = tend("apply", "r-1", "--reason", "x", "--inline")
    later.join()
    assert ended.code == 0
    assert "waits for the brake for all policies, pulled by" in ended.err
    assert tend.shop.salesData.count_documents({}) == 0


@pytest.mark.system
def test_workers_go_on_at_once_when_the_brake_is_released(tend: Tend) -> None:
    """No scheduler runs here: the command itself rings."""
    tend.old_sales(60)
    tend.json("brake", "pull", "--reason", "CASE-4")
    with workers(tend, 1):
        tend.json("run", "sales-retention", "--reason", "x")
        shown = eventually(tend, "r-1", "applying")
        assert shown["waiting_for"].startswith("the brake for all policies")
        assert tend.shop.salesData.count_documents({}) == 60
        tend.json("brake", "release", "--reason", "CASE-4")
        eventually(tend, "r-1", "succeeded")


def test_a_mistyped_policy_is_no_brake(tend: Tend) -> None:
    ended = tend("brake", "pull", "--policy", "sales-retentoin", "--reason", "x")
    assert ended.code == 2
    assert "sales-retention" in ended.err
    assert tend.json("brake", "show")["brakes"] == []


def test_the_brake_works_with_policy_files_that_cannot_be_read(tend: Tend) -> None:
    tend.policy("sales-retention", "guards: nonsense\n")
    ended = tend("brake", "pull", "--policy", "sales-retention", "--reason", "x", "--json")
    assert ended.code == 0
    assert ended.json["brakes"][0]["policy"] == "sales-retention"
    assert "Whether there is a policy sales-retention is not known" in ended.err


def test_the_brake_works_without_mongodb_redis_and_archive(tend: Tend) -> None:
    for setting in ("TEND_MONGO_URL", "TEND_MONGO_READ_URL", "TEND_REDIS_URL", "TEND_ARCHIVE_URL"):
        tend.setting(setting, "")
    assert tend.json("brake", "pull", "--reason", "x")["brakes"]
    assert not tend.json("brake", "release", "--reason", "x")["brakes"]


def test_releasing_what_is_not_pulled_is_said(tend: Tend) -> None:
    ended = tend("brake", "release", "--reason", "x")
    assert ended.code == 2
    assert "No brake is pulled for all policies; `tend brake show` lists what is." in ended.err


@pytest.mark.system
def test_a_run_is_paused_and_resumed_by_commands(tend: Tend) -> None:
    tend.policy("sales-retention", AMPLE + "batch: {records: 10, pause: 60s}\nchunk: 25\n")
    tend.old_sales(60)
    with workers(tend, 1):
        tend.json("run", "sales-retention", "--reason", "x")
        eventually(tend, "r-1", "applying")
        paused = tend.json("pause", "r-1", "--reason", "CASE-5")
        assert paused["state"] == "paused"
        assert tend.json("show", "r-1")["chunks"]["apply"].keys() <= {"pending"}
        assert "`tend resume r-1`; paused by" in tend("show", "r-1").out
        tend.json("resume", "r-1", "--reason", "CASE-5")
        eventually(tend, "r-1", "applying")
        cancelled = tend.json("cancel", "r-1", "--reason", "CASE-5")
    gone = 60 - tend.shop.salesData.count_documents({})
    assert gone == cancelled["changed"] < 60


def test_the_status_says_who_pulled_the_brake_and_why(tend: Tend) -> None:
    assert tend.json("status")["brakes"] == []
    tend.json("brake", "pull", "--policy", "text-dates", "--reason", "CASE-6: odd dates")
    (brake,) = tend.json("status")["brakes"]
    assert (brake["policy"], brake["reason"]) == ("text-dates", "CASE-6: odd dates")
    lines = tend("status").out.splitlines()
    (said,) = [line for line in lines if line.startswith("THE BRAKE IS PULLED for text-dates, by ")]
    assert said.endswith(" UTC: CASE-6: odd dates")
