"""Embedded servers that a test stops and starts again: same folder, same port."""

import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.faults.processes import PATIENCE


@dataclass
class Machine:
    """What a server runs on: it can be stopped, and started with the very same command."""

    process: subprocess.Popen[bytes]

    def stop(self, number: signal.Signals) -> None:
        self.process.send_signal(number)
        self.process.wait(PATIENCE)

    def start(self) -> None:
        assert self.process.poll() is not None
        self.process = subprocess.Popen(
            self.process.args,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )


@contextmanager
def machine(process: subprocess.Popen[bytes], end: signal.Signals) -> Iterator[Machine]:
    """Ends what was started anew; whoever started the first process ends that one."""
    found = Machine(process)
    yield found
    if found.process is not process:
        found.stop(end)
