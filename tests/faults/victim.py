"""A process that works on a run and kills itself, as `kill -9` would, at a given step.

`python -m tests.faults.victim RUN STEP COUNT`: at the COUNT-th time STEP is reached.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from worker import advance, bootstrap, claims
from worker.archive import ArchiveStore
from worker.settings import Settings
from worker.targets.mongo_fence import MongoFence

STEPS: dict[str, tuple[Any, str, str]] = {
    "before the fence": (MongoFence, "_stand", "before"),
    "after the fence": (MongoFence, "_stand", "after"),
    "after the archive": (ArchiveStore, "write", "after"),
    "after the change": (MongoFence, "_commit", "before"),
    "after the target's commit": (MongoFence, "_commit", "after"),
    "before the control commit": (claims, "progress", "before"),
    "after the control commit": (claims, "progress", "after"),
    "before the chunk is finished": (claims, "finish", "before"),
    "after the chunk is finished": (claims, "finish", "after"),
}


def arm(step: str, count: int) -> None:
    """Make the COUNT-th call of a step the last thing this process does."""
    owner, name, when = STEPS[step]
    original: Callable[..., Any] = getattr(owner, name)
    calls = iter(range(1, count + 1))

    def watched(*args: Any, **kwargs: Any) -> Any:
        is_last = next(calls) == count
        if is_last and when == "before":
            os.kill(os.getpid(), signal.SIGKILL)
        result = original(*args, **kwargs)
        if is_last and when == "after":
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, watched)


def main() -> None:
    run_id = int(sys.argv[1])
    if len(sys.argv) > 2:
        arm(sys.argv[2], int(sys.argv[3]))
    settings = Settings.load()
    database = bootstrap.open_database(settings)
    engine = bootstrap.open_engine(settings, database, inline=True)
    advance.advance(engine, run_id, seconds=60)


if __name__ == "__main__":
    main()
