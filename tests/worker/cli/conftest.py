"""`tend` as a person has it: settings in the environment, real servers, its own small shop."""

import json
import logging
import os
import shutil
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import structlog
from pymongo.database import Database as MongoDatabase
from sqlalchemy import make_url

from worker.cli import main

SHIPPED = Path(__file__).parents[3] / "policies"
AMPLE = "guards: {max_records: 100_000, max_percent: 100}\n"


@dataclass(frozen=True)
class Ended:
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> dict[str, Any]:
        """The one document on standard output."""
        document: dict[str, Any] = json.loads(self.out)
        return document


@dataclass
class Tend:
    """Runs commands in this process, or in one of their own."""

    shop: MongoDatabase[dict[str, Any]]
    overlay: Path
    patch: pytest.MonkeyPatch
    captured: pytest.CaptureFixture[str]

    def __call__(self, *words: str) -> Ended:
        self.captured.readouterr()
        code = main(words)
        captured = self.captured.readouterr()
        return Ended(code, captured.out, captured.err)

    def json(self, *words: str) -> dict[str, Any]:
        """What a command that ends well says to a program."""
        ended = self(*words, "--json")
        assert ended.code == 0, ended.err
        return ended.json

    def command(self, *words: str) -> list[str]:
        """The same for a process of its own."""
        return [sys.executable, "-m", "worker.cli", *words]

    def policy(self, name: str, text: str) -> None:
        """Write a policy, or what lies over a shipped one."""
        (self.overlay / f"{name}.yaml").write_text(f"name: {name}\n{text}")

    def setting(self, name: str, value: str) -> None:
        self.patch.setenv(name, value)

    def old_sales(self, count: int) -> None:
        """Sales that `sales-retention` finds, with `_id`s from 0."""
        self.shop.salesData.insert_many(
            [{"_id": number, "createdAt": ago(3000), "quantity": 1} for number in range(count)]
        )


def ago(days: float) -> datetime:
    moment = datetime.now(UTC) - timedelta(days=days)
    return moment.replace(microsecond=0)


@pytest.fixture(autouse=True)
def logging_as_it_was() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    hooks = sys.excepthook, threading.excepthook
    configuration = structlog.get_config()
    root.handlers[:] = []  # a command closes what it finds, and these belong to pytest
    yield
    root.handlers[:] = handlers
    root.setLevel(level)
    sys.excepthook, threading.excepthook = hooks
    structlog.configure(**configuration)


@pytest.fixture
def unmigrated(
    mongo_database: MongoDatabase[dict[str, Any]],
    mongo_url: str,
    mongo_read_url: str,
    sqlite_url: str,
    redis_url: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> Tend:
    """Everything is there, but the control database is empty."""
    overlay = tmp_path / "overlay"
    overlay.mkdir()
    for variable in [name for name in os.environ if name.startswith("TEND_")]:
        monkeypatch.delenv(variable)
    tend = Tend(mongo_database, overlay, monkeypatch, capsys)
    tend.policy("sales-retention", AMPLE + "batch: {records: 10}\nchunk: 25\n")
    tend.policy("text-dates", AMPLE)
    tend.policy("session-cleanup", AMPLE)
    for name, value in {
        "TEND_DATABASE_URL": sqlite_url,
        "TEND_REDIS_URL": redis_url,
        "TEND_MONGO_URL": mongo_url,
        "TEND_MONGO_READ_URL": mongo_read_url,
        "TEND_ARCHIVE_URL": str(tmp_path / "archive"),
        "TEND_POLICY_DIR": f"{SHIPPED}{os.pathsep}{overlay}",
        "XDG_STATE_HOME": str(tmp_path / "state"),
    }.items():
        tend.setting(name, value)
    return tend


@pytest.fixture
def bare(unmigrated: Tend, migrated_sqlite: Path, sqlite_url: str) -> Tend:
    """Migrated, with nothing in the shop: for what never gets as far as that."""
    shutil.copyfile(migrated_sqlite, str(make_url(sqlite_url).database))
    return unmigrated


@pytest.fixture
def tend(bare: Tend) -> Tend:
    """With the indexes that the shipped policies need, which its database is given."""
    return bare
