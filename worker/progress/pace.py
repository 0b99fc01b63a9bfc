"""How fast a run goes, and how long the rest takes at that pace."""

from collections import deque
from dataclasses import dataclass, field

WINDOW_SECONDS = 30.0
_LEAST_SECONDS = 2.0
"""Before that a pace would be a guess from one batch."""


@dataclass
class Pace:
    """The last half minute of one phase; a phase begins anew with its own pace."""

    _phase: str = ""
    _seen: deque[tuple[float, int]] = field(default_factory=deque)

    def note(self, phase: str, done: int, at: float) -> None:
        """So many records were done at this moment, in seconds of a clock that never jumps."""
        if phase != self._phase or (self._seen and done < self._seen[-1][1]):
            self._phase = phase
            self._seen.clear()
        self._seen.append((at, done))
        while at - self._seen[0][0] > WINDOW_SECONDS:
            self._seen.popleft()

    @property
    def per_second(self) -> float | None:
        """Records per second; None until it can be said."""
        if not self._seen:
            return None
        (began, first), (ended, last) = self._seen[0], self._seen[-1]
        return (last - first) / (ended - began) if ended - began >= _LEAST_SECONDS else None

    def words(self, left: int) -> str:
        """`, 4,100/s, about 70 s left`, or nothing while it stands still or is not known."""
        speed = self.per_second
        if not speed or left <= 0:
            return ""
        return f", {speed:,.{0 if speed >= 10 else 1}f}/s, about {_time(left / speed)} left"


def _time(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:,.0f} s"
    return f"{seconds / 60:,.0f} min" if seconds < 7200 else f"{seconds / 3600:,.1f} h"
