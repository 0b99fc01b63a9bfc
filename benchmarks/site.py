"""A small installation with processes that a benchmark starts, measures and kills."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import psutil
from cryptography.fernet import Fernet
from pymongo import MongoClient
from pymongo.database import Database as MongoDatabase
from sqlalchemy import func, select

from demo.servers import mongod, valkey
from worker import identity, migrate, operations, runs
from worker.database import Database
from worker.operations import Person
from worker.registry import Policies
from worker.settings import Settings
from worker.tables import Process, Run

PERSON = Person(identity.claimed(), "a benchmark")
PATIENCE_SECONDS = 120
POLL_SECONDS = 0.02
GUARDS = "guards: {max_records: 10_000_000, max_percent: 100}\nundo: 7d\n"
Found = TypeVar("Found")
TEND = (sys.executable, "-m", "worker.cli")


@dataclass(frozen=True)
class Site:
    """The settings are in the environment of this process."""

    folder: Path
    settings: Settings
    control: Database
    shop: MongoDatabase[dict[str, Any]]

    def run(self, run_id: int) -> Run:
        with self.control.transaction() as session:
            return runs.get(session, run_id)

    @contextmanager
    def process(self, *command: str) -> Iterator[psutil.Process]:
        """Started; in the end, asked to stop if it still runs."""
        with (self.folder / "processes.log").open("ab") as log:
            running = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
        try:
            yield psutil.Process(running.pid)
        finally:
            running.send_signal(signal.SIGTERM)
            running.wait(30)

    @contextmanager
    def workers(self, count: int, *, threads: int = 4) -> Iterator[list[psutil.Process]]:
        """So many `tend worker`s with one process each, when all of them have begun."""
        words = ("worker", "--processes", "1", "--threads", str(threads))
        before = self.alive("worker")
        with ExitStack() as stack:
            found = [stack.enter_context(self.process(*TEND, *words)) for _ in range(count)]
            until(lambda: self.alive("worker") == before + count)
            yield found

    @contextmanager
    def scheduler(self) -> Iterator[psutil.Process]:
        with self.process(*TEND, "scheduler") as found:
            until(lambda: self.alive("scheduler") > 0)
            yield found

    def alive(self, kind: str) -> int:
        with self.control.transaction() as session:
            return session.scalar(select(func.count()).where(Process.kind == kind)) or 0

    def request(self, name: str) -> int:
        """A run for the workers."""
        policy = Policies.load(self.settings.policy_directories).get(name).policy
        return operations.request(
            self.control,
            policy,
            "bench",
            PERSON,
            apply_after_plan=True,
            inline=False,
            narrowing={},
        )


def tree(process: psutil.Process) -> list[psutil.Process]:
    return [process, *process.children(recursive=True)]


def until(look: Callable[[], Found | None]) -> Found:
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not (found := look()):
        if time.monotonic() > deadline:
            raise SystemExit("a benchmark waited in vain")
        time.sleep(POLL_SECONDS)
    return found


@contextmanager
def opened(folder: Path, policies: Mapping[str, str]) -> Iterator[Site]:
    """Servers of its own, and these policies and no other."""
    with ExitStack() as stack:
        mongo = stack.enter_context(mongod(folder))
        redis = stack.enter_context(valkey(folder))
        directory = folder / "policies"
        directory.mkdir()
        for name, text in policies.items():
            (directory / f"{name}.yaml").write_text(f"name: {name}\n{text}")
        os.environ |= {
            "TEND_DATABASE_URL": f"sqlite:///{folder}/tend.sqlite",
            "TEND_REDIS_URL": redis.url,
            "TEND_MONGO_URL": mongo.url("shop"),
            "TEND_ARCHIVE_URL": f"file://{folder}/archive",
            "TEND_KEYS": Fernet.generate_key().decode(),
            "TEND_ENV": "bench",
            "TEND_POLICY_DIR": str(directory),
        }
        client = stack.enter_context(MongoClient[dict[str, Any]](mongo.url("shop")))
        settings = Settings.load()
        control = Database(settings.need("database_url"))
        stack.callback(control.close)
        migrate.upgrade(control)
        yield Site(folder, settings, control, client.get_default_database())
