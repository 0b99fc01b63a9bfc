"""Log files, followed through everything that is done to them."""

import os
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from jobs.login_lockout import following
from jobs.login_lockout.following import LogMissing
from jobs.login_lockout.options import FileSource, LockoutOptions
from tests.worker.scenario import NOW, Scenario
from worker.tasks.context import Looking

AT = r"(?P<at>\d{4}-\d\d-\d\d \d\d:\d\d:\d\d)"
LINE = AT + r" \S+ failed_login (?P<address>\S+)(?: (?P<user>\S+))?"


class Log:
    """A log, and what a look at it finds each time."""

    def __init__(self, scenario: Scenario, path: Path) -> None:
        self.path = path
        self.scenario = scenario
        self.pattern = f"{path}*"
        self._written = 0

    def write(self, count: int = 1, *, path: Path | None = None, end: str = "\n") -> None:
        for _ in range(count):
            at = NOW - timedelta(minutes=5) + timedelta(seconds=self._written)
            line = f"{at:%Y-%m-%d %H:%M:%S} WARN failed_login 203.0.113.7 user{self._written}"
            with (path or self.path).open("a") as file:
                file.write(line + end)
            self._written += 1

    def seen(self) -> list[str | None]:
        """The users of every event that counts now, after a look in a process of its own."""
        source = FileSource(files=self.pattern, lines=(LINE,))
        options = LockoutOptions(sources=(source,))
        context = Looking(self.scenario.engine, "login_lockout", NOW)
        begin, end = NOW - timedelta(minutes=20), NOW
        (events,) = following.follow(context, "under-test", options, begin, end)
        return [event.user for event in events]

    def users(self) -> list[str | None]:
        return [f"user{number}" for number in range(self._written)]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url


@pytest.fixture
def log(scenario: Scenario, tmp_path: Path) -> Log:
    folder = tmp_path / "logs"
    folder.mkdir()
    return Log(scenario, folder / "security.log")


def test_each_line_counts_once_however_often_it_is_looked_at(log: Log) -> None:
    log.write(3)
    assert log.seen() == log.users()
    log.write(2)
    assert log.seen() == log.users()
    assert log.seen() == log.users()


def test_a_half_written_last_line_waits_for_its_end(log: Log) -> None:
    log.write(2)
    log.write(1, end="")
    assert log.seen() == ["user0", "user1"]
    with log.path.open("a") as file:
        file.write("\n")
    assert log.seen() == log.users()


def test_a_rename_loses_nothing_even_if_the_new_name_is_no_name_of_the_policy(log: Log) -> None:
    log.pattern = str(log.path)
    log.write(3)
    log.seen()
    log.write(2)
    log.path.rename(log.path.with_name("old-security"))
    log.write(1)
    assert log.seen() == log.users()


def test_a_rotation_by_copy_and_truncation_loses_nothing_and_counts_nothing_twice(
    log: Log,
) -> None:
    log.write(5)
    log.seen()
    log.write(2)
    shutil.copy(log.path, log.path.with_name("security.log.1"))
    assert log.seen() == log.users()
    os.truncate(log.path, 0)
    log.write(6)
    assert log.seen() == log.users()


def test_an_inode_that_is_used_again_is_another_file(log: Log) -> None:
    log.write(4)
    log.seen()
    os.truncate(log.path, 0)
    log.write(9)
    assert log.seen() == log.users()


def test_at_midnight_another_name_goes_on(log: Log) -> None:
    log.pattern = str(log.path.with_name("security-*.log"))
    before, after = (log.path.with_name(f"security-2026-11-{day}.log") for day in (21, 22))
    log.write(2, path=before)
    log.seen()
    log.write(1, path=before)
    log.write(2, path=after)
    assert log.seen() == log.users()


def test_lines_that_say_nothing_certain_are_counted(log: Log) -> None:
    log.write(1)
    with log.path.open("a") as file:
        file.write("2026-11-22 02:59:00 WARN failed_login bob 10.9.9.9 203.0.113.7\n")
        file.write("2026-11-22 02:59:00 WARN failed_login elsewhere\n")
        file.write("x" * 70_000 + "\n\xff\xfe\n")
    assert log.seen() == log.users()
    with log.scenario.engine.database.transaction() as session:
        assert following.set_aside(session, "under-test") == {"unreadable": 1, "address": 1}


def test_a_log_that_is_not_there_is_said(tmp_path: Path) -> None:
    sources: Any = ({"files": str(tmp_path / "nothing*.log"), "format": "sshd"},)
    with pytest.raises(LogMissing, match="No file is named"):
        following.check(LockoutOptions(sources=sources))
