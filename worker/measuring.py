"""What a process knows of itself and its targets, and says with each sign of life."""

import os
import resource
import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

from policies.errors import TendError
from worker.targets.base import Target
from worker.targets.deadline import within

ANSWER_SECONDS = 5.0
PINGS = 5
"""Of the last so many answers the median counts: one slow answer is no trouble."""
_CPU_SECONDS = 120.0
"""Over about so long the share of a core is averaged."""
_PAGES = Path("/proc/self/statm")


@dataclass
class Answers:
    """How fast a target has answered lately, and since when it does not."""

    seconds: deque[float] = field(default_factory=lambda: deque(maxlen=PINGS))
    failing_since: datetime | None = None

    def as_json(self) -> dict[str, Any]:
        since = self.failing_since
        return {
            "seconds": round(median(self.seconds), 4) if self.seconds else None,
            "failing_since": since.isoformat() if since is not None else None,
        }


class Measures:
    """Memory and processor of this process; with `ask`, how its targets answer."""

    def __init__(self, targets: Mapping[str, Target] | None = None) -> None:
        self._targets = targets or {}
        self._answers = {kind: Answers() for kind in self._targets}
        self._lock = threading.Lock()
        self._at, self._used = time.monotonic(), time.process_time()
        self._cpu = 0.0

    def ask(self) -> None:
        """Ask each target for a sign of life; one that does not answer holds up this call alone."""
        for kind, target in self._targets.items():
            began = time.monotonic()
            try:
                with within(ANSWER_SECONDS):
                    target.ping()
            except TendError:
                self._failed(kind)
            else:
                self._answered(kind, time.monotonic() - began)

    def now(self) -> dict[str, Any]:
        """`memory_bytes`, `cpu` as a share of one core, and the targets by their kind."""
        with self._lock:
            answers = {kind: found.as_json() for kind, found in self._answers.items()}
            return {"memory_bytes": memory_bytes(), "cpu": self._share(), "targets": answers}

    def _answered(self, kind: str, seconds: float) -> None:
        with self._lock:
            found = self._answers[kind]
            found.seconds.append(seconds)
            found.failing_since = None

    def _failed(self, kind: str) -> None:
        with self._lock:
            found = self._answers[kind]
            found.seconds.clear()
            found.failing_since = found.failing_since or datetime.now(UTC)

    def _share(self) -> float:
        moment, used = time.monotonic(), time.process_time()
        passed = moment - self._at
        if passed > 0:
            weight = min(1.0, passed / _CPU_SECONDS)
            share = (used - self._used) / passed
            self._cpu += weight * (share - self._cpu)
            self._at, self._used = moment, used
        return round(self._cpu, 4)


def memory_bytes() -> int:
    """What this process holds in memory; where the kernel does not say, the most it ever held."""
    try:
        return int(_PAGES.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
