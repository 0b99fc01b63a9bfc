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
from worker.targets import sql_server
from worker.targets.mongo_fence import MongoFence
from worker.targets.sql_fences import SqlFences

Step = tuple[Any, str, str]
_EVERYWHERE: dict[str, Step] = {
    "before the archive": (ArchiveStore, "write", "before"),
    "after the archive": (ArchiveStore, "write", "after"),
    "before the control commit": (claims, "progress", "before"),
    "after the control commit": (claims, "progress", "after"),
    "before the chunk is finished": (claims, "finish", "before"),
    "after the chunk is finished": (claims, "finish", "after"),
}
STEPS: dict[str, Step] = {
    "before the fence": (MongoFence, "_stand", "before"),
    "after the fence": (MongoFence, "_stand", "after"),
    "after the change": (MongoFence, "_commit", "before"),
    "after the target's commit": (MongoFence, "_commit", "after"),
    **_EVERYWHERE,
}
SQL_STEPS: dict[str, Step] = {
    "before the fence in SQL": (SqlFences, "stands", "before"),
    "after the fence in SQL": (SqlFences, "stands", "after"),
    "after the change in SQL": (SqlFences, "record", "after"),
    "before a commit in SQL": (sql_server, "_commit", "before"),
    "after a commit in SQL": (sql_server, "_commit", "after"),
    **_EVERYWHERE,
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
    owner, name, when = {**STEPS, **SQL_STEPS}[step]
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
