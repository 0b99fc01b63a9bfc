"""The `tend` processes and commands of the demonstration, as a person would start them."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from policies.errors import TendError

STOP_SECONDS = 20


class CommandFailed(TendError):
    """A `tend` command of the demonstration ended with another exit code than 0."""

    code = "demo_command"


def command(environment: Mapping[str, str], *arguments: str, typed: str = "") -> Any:
    """Run one `tend` command, with this on its standard input, and return its JSON."""
    done = subprocess.run(
        [sys.executable, "-m", "worker.cli", *arguments, "--json"],
        env={**os.environ, **environment},
        input=typed,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        said = done.stderr.strip() or done.stdout.strip()
        raise CommandFailed(f"`tend {' '.join(arguments)}` ended with {done.returncode}: {said}")
    return json.loads(done.stdout)


@contextmanager
def process(environment: Mapping[str, str], log: Path, *arguments: str) -> Iterator[None]:
    """A long-running `tend` process, in a session of its own so that Ctrl-C reaches only us."""
    with log.open("wb") as output:
        running = subprocess.Popen(
            [sys.executable, "-m", "worker.cli", *arguments],
            env={**os.environ, **environment},
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
        try:
            yield
        finally:
            running.send_signal(signal.SIGTERM)
            try:
                running.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(running.pid, signal.SIGKILL)
                running.wait()
