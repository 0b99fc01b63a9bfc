"""The console of the demonstration: started beside the other processes, with one user."""

import re
import secrets
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from demo.tend import CommandFailed, command, process

USER = "demo"
READY_SECONDS = 120
_LISTENS = re.compile(r'"port": (\d+)')


@dataclass(frozen=True)
class WebConsole:
    """Where it is, and who may log in."""

    address: str
    environment: Mapping[str, str]
    """With the token of an admin."""

    def login(self) -> str:
        """An address that lets in once, and soon."""
        made = command(self.environment, "user", "link", USER, "--reason", "the demonstration")
        return f"{self.address}{made['path']}"


@contextmanager
def console(environment: Mapping[str, str], folder: Path) -> Iterator[WebConsole]:
    """`tend console` on a free port, and an admin who has no password that anybody knows."""
    why = ("--reason", "the demonstration")
    token = command(environment, "token", "create", USER, "--role", "admin", *why)["token"]
    admin = {**environment, "TEND_TOKEN": token}
    password = secrets.token_hex(32)
    command(admin, "user", "create", USER, "--role", "admin", *why, typed=password)
    log = folder / "console.log"
    with process(environment, log, "console", "--port", "0"):
        yield WebConsole(f"http://127.0.0.1:{_port(log)}", admin)


def _port(log: Path) -> int:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        lines = [line for line in log.read_text().splitlines() if "console listens" in line]
        found = _LISTENS.search(lines[0]) if lines else None
        if found:
            return int(found[1])
        time.sleep(0.05)  # between two looks
    raise CommandFailed(f"`tend console` did not listen: {log.read_text()[-500:]}")
