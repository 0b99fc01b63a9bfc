"""`tend worker` is dramatiq's own command line, kept as one child that is stopped gently.

dramatiq takes a second SIGTERM as a kill, and a terminal or a supervisor sends one to a whole
process group. So the child has a session of its own and gets exactly one, from here.
"""

import ctypes
import os
import signal
import subprocess
import sys
import time
from contextlib import suppress

_PR_SET_PDEATHSIG = 1
_SHUTDOWN_MILLISECONDS = 15_000
_SIGNALS = {signal.SIGTERM, signal.SIGINT, signal.SIGCHLD}
_LIBC = ctypes.CDLL(None)


def supervise(processes: int, threads: int) -> int:
    """Run dramatiq with our consumer until it ends, and return its exit code.

    An end that nobody asked for is never 0: whoever supervises this process starts it anew.
    """
    # -P and an empty --path: what happens to lie in the current folder is not imported.
    command = [
        *(sys.executable, "-P", "-m", "dramatiq", "worker.consumer"),
        *("--processes", str(processes), "--threads", str(threads)),
        *("--worker-shutdown-timeout", str(_SHUTDOWN_MILLISECONDS)),
        *("--skip-logging", "--path"),
    ]
    environment = {
        "MALLOC_ARENA_MAX": "2",  # glibc keeps what batches took for each thread apart: 50 MiB
        **os.environ,
        "dramatiq_worker_timeout": "100",
    }
    child = subprocess.Popen(  # noqa: S603 - our own words
        command,
        env=environment,
        start_new_session=True,
        preexec_fn=_end_with_parent,  # noqa: PLW1509 - this process has one thread
    )
    return _wait(child)


def _wait(child: subprocess.Popen[bytes]) -> int:
    """Sleep until the child ends; pass the first request to stop on, and no other."""
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    passed_on = False
    while child.poll() is None:
        if signal.sigwait(_SIGNALS) != signal.SIGCHLD and not passed_on:
            child.terminate()
            passed_on = True
    _end(child.pid)
    code = child.returncode if child.returncode >= 0 else 128 - child.returncode
    return code if passed_on else code or 1


def _end(group: int) -> None:
    """A master that was killed leaves workers behind: ask them to stop, then make them."""
    with suppress(ProcessLookupError):
        os.killpg(group, signal.SIGTERM)
        until = time.monotonic() + _SHUTDOWN_MILLISECONDS / 1000
        while time.monotonic() < until:
            time.sleep(0.1)
            os.killpg(group, 0)
        os.killpg(group, signal.SIGKILL)


def _end_with_parent() -> None:
    """Runs in the child: SIGTERM when this process dies, even by SIGKILL."""
    _LIBC.prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
