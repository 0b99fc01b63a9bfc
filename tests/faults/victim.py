"""A process that works on a run and sends itself a signal at a given step.

`python -m tests.faults.victim RUN STEP COUNT SIGNAL`: at the COUNT-th time STEP is reached.
"""

import itertools
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from typing import Any

from worker import advance, bootstrap, claims
from worker.archive import ArchiveStore
from worker.settings import Settings
from worker.targets.mongo_fence import MongoFence

STEPS: dict[str, tuple[Any, str, str]] = {
    "before the fence": (MongoFence, "_stand", "before"),
    "after the fence": (MongoFence, "_stand", "after"),
    "before the archive": (ArchiveStore, "write", "before"),
    "after the archive": (ArchiveStore, "write", "after"),
    "after the change": (MongoFence, "_commit", "before"),
    "after the target's commit": (MongoFence, "_commit", "after"),
    "before the control commit": (claims, "progress", "before"),
    "after the control commit": (claims, "progress", "after"),
    "before the chunk is finished": (claims, "finish", "before"),
    "after the chunk is finished": (claims, "finish", "after"),
}


def start(
    environment: Mapping[str, str], run_id: int, step: str, count: int, number: signal.Signals
) -> subprocess.Popen[bytes]:
    """Begin such a process."""
    words = [str(run_id), step, str(count), number.name]
    return subprocess.Popen(
        [sys.executable, "-m", "tests.faults.victim", *words],
        env={**os.environ, **environment},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def arm(step: str, count: int, number: signal.Signals) -> None:
    """Let the COUNT-th call of a step hit this process with a signal."""
    owner, name, when = STEPS[step]
    original: Callable[..., Any] = getattr(owner, name)
    calls = itertools.count(1)

    def watched(*args: Any, **kwargs: Any) -> Any:
        is_hit = next(calls) == count
        if is_hit and when == "before":
            os.kill(os.getpid(), number)
        result = original(*args, **kwargs)
        if is_hit and when == "after":
            os.kill(os.getpid(), number)
        return result

    setattr(owner, name, watched)


def main() -> None:
    run_id = int(sys.argv[1])
    arm(sys.argv[2], int(sys.argv[3]), signal.Signals[sys.argv[4]])
    settings = Settings.load()
    database = bootstrap.open_database(settings)
    engine = bootstrap.open_engine(settings, database, inline=True)
    advance.advance(engine, run_id, seconds=60)


if __name__ == "__main__":
    main()
