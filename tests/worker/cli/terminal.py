"""A terminal for a command to run on: what it shows can be awaited, and typed at."""

import fcntl
import os
import pty
import select
import signal
import subprocess
import termios
import time
from types import TracebackType

from tests.worker.cli.conftest import Tend

PATIENCE = 60.0
AGAIN = 10.0


class Terminal:
    """One command on a terminal of its own."""

    def __init__(self, tend: Tend, *words: str) -> None:
        self._ours, theirs = pty.openpty()
        self.process = subprocess.Popen(
            tend.command(*words),
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            preexec_fn=_control_the_terminal,  # noqa: PLW1509 - it makes one system call
        )
        os.close(theirs)
        self.shown = ""

    def __enter__(self) -> "Terminal":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def wait_for(self, text: str) -> None:
        """Read until this text was shown."""
        until = time.monotonic() + PATIENCE
        while text not in self.shown:
            assert time.monotonic() < until, f"{text!r} never came: {self.shown}"
            assert self._read(), f"{text!r} did not come: {self.shown}"

    def type(self, text: str) -> None:
        os.write(self._ours, text.encode())

    def interrupt(self) -> int:
        """Press Ctrl-C until the command ends, as a person does, and return the exit code.

        One that comes in the moment before Python waits for a line is seen after that line alone.
        """
        until, again = time.monotonic() + PATIENCE, time.monotonic()
        while self._read():
            assert time.monotonic() < until, self.shown
            if time.monotonic() >= again:
                self.process.send_signal(signal.SIGINT)
                again = time.monotonic() + AGAIN
        return self.process.wait(PATIENCE)

    def end(self) -> int:
        """Read to the end and return the exit code."""
        until = time.monotonic() + PATIENCE
        while self._read():
            assert time.monotonic() < until, self.shown
        return self.process.wait(PATIENCE)

    def _read(self) -> bool:
        ready, _, _ = select.select([self._ours], [], [], 1.0)
        if not ready:
            return True
        try:
            self.shown += os.read(self._ours, 65536).decode(errors="replace")
        except OSError:  # nobody holds the other end any more
            return False
        return True


def _control_the_terminal() -> None:
    """Runs in the child: what opens /dev/tty, as a hidden prompt does, finds this one."""
    fcntl.ioctl(0, termios.TIOCSCTTY, 0)
