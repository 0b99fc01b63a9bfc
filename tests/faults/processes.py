"""Real `tend` processes, and looking at them until something has happened."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TypeVar
from uuid import uuid4

import psutil

Found = TypeVar("Found")
PATIENCE = 120.0
"""Seconds that anything may take on a machine with better things to do."""
MARK = "TEST_FAMILY"
"""Every process that a command starts inherits this variable, and is found by it."""


def eventually(look: Callable[[], Found | None], seconds: float = PATIENCE) -> Found:
    """What `look` finds, as soon as it finds something."""
    deadline = time.monotonic() + seconds
    while True:
        found = look()
        if found:
            return found
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.05)  # between two looks, not instead of one


@dataclass(frozen=True)
class Tend:
    """A `tend` command that runs, and every process it started, their parents dead or alive."""

    process: subprocess.Popen[bytes]
    mark: str

    @property
    def family(self) -> list[psutil.Process]:
        return [found for found in psutil.process_iter() if _is_marked(found, self.mark)]

    @property
    def main(self) -> psutil.Process:
        """dramatiq's own main process, the one child of `tend worker`."""
        (child,) = psutil.Process(self.process.pid).children()
        return child

    @property
    def workers(self) -> list[psutil.Process]:
        return self.main.children()

    def stop(self, seconds: float = PATIENCE) -> int:
        """SIGTERM to its process group, as a terminal or a supervisor sends it."""
        os.killpg(self.process.pid, signal.SIGTERM)
        return self.process.wait(seconds)


@contextmanager
def tend(environment: Mapping[str, str], *words: str) -> Iterator[Tend]:
    """Run a command; what is left of it in the end is killed."""
    mark = uuid4().hex
    process = subprocess.Popen(
        [sys.executable, "-m", "worker.cli", *words],
        env={**os.environ, **environment, MARK: mark},
        start_new_session=True,
    )
    running = Tend(process, mark)
    try:
        yield running
    finally:
        for left in running.family:
            left.kill()
        process.wait()


def _is_marked(found: psutil.Process, mark: str) -> bool:
    try:
        is_over = found.status() == psutil.STATUS_ZOMBIE
        return not is_over and found.environ().get(MARK) == mark
    except psutil.Error:
        return False
