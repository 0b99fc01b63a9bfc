"""Embedded servers that a test stops and starts again: same folder, same port."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def started_again(stopped: subprocess.Popen[bytes]) -> Iterator[subprocess.Popen[bytes]]:
    """Run a server that has ended once more, with the very command it was first started with."""
    assert stopped.poll() is not None
    process = subprocess.Popen(
        stopped.args, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        yield process
    finally:
        process.kill()
        process.wait()
