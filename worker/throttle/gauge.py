"""Reading a target's indicators, at most once a second in each process."""

import threading
import time
from dataclasses import dataclass, field

import structlog

from worker.targets.base import Reading, Target

log = structlog.get_logger()

EVERY_SECONDS = 1.0


@dataclass
class Gauge:
    """One target's latest readings, shared by the threads of a process."""

    target: Target
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _readings: tuple[Reading, ...] = ()
    _read_at: float = float("-inf")
    _said: set[str] = field(default_factory=set)

    def read(self) -> tuple[Reading, ...]:
        """Readings that are no older than a second; raises `TargetError` if there are none."""
        with self._lock:
            if time.monotonic() - self._read_at >= EVERY_SECONDS:
                self._readings = self.target.indicators()
                self._read_at = time.monotonic()
                self._say_what_is_missing()
            return self._readings

    def _say_what_is_missing(self) -> None:
        for reading in self._readings:
            if reading.value is None and reading.indicator not in self._said:
                self._said.add(reading.indicator)
                log.warning("indicator missing", indicator=reading.indicator, why=reading.detail)


class Gauges:
    """A gauge for each target of a process."""

    def __init__(self) -> None:
        self._gauges: dict[Target, Gauge] = {}

    def read(self, target: Target) -> tuple[Reading, ...]:
        """See `Gauge.read`."""
        return self._gauges.setdefault(target, Gauge(target)).read()
