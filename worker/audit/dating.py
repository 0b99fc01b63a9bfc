"""When the log was how long, as checkpoints say whose signature holds."""

from bisect import bisect_right
from datetime import datetime, timedelta

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.audit import checkpoints
from worker.audit.signing import Signer
from worker.audit.streaming import streamed
from worker.tables import Checkpoint

BACKDATED = timedelta(minutes=10)
"""So much older than a checkpoint before it an entry may be: its transaction was a slow one."""


class TrustedTimes:
    """At most one checkpoint for each ten minutes, read from the first position that matters."""

    def __init__(self, session: Session, signer: Signer | None, start: int) -> None:
        self._session = session
        self._signer = signer
        self._read(start)

    def before(self, position: int) -> datetime | None:
        """When the last checkpoint before a position was made; None if there is none."""
        if position < self._start:
            self._read(position)
        place = bisect_right(self._sizes, position) - 1
        return self._moments[place] if place >= 0 else None

    def _read(self, start: int) -> None:
        self._start = 0
        self._sizes: list[int] = []
        self._moments: list[datetime] = []
        if self._signer is None:
            return
        self._start = self._last_before(start, self._signer)
        for row in checkpoints.since(self._session, self._start):
            if self._moments and row.at < self._moments[-1] + BACKDATED:
                continue
            head = checkpoints.opened(row.note, self._signer)
            if head is not None and (not self._sizes or head.size >= self._sizes[-1]):
                self._sizes.append(head.size)
                self._moments.append(head.at)

    def _last_before(self, position: int, signer: Signer) -> int:
        """The size of the last checkpoint over no more than so many entries."""
        earlier = select(Checkpoint).where(Checkpoint.size <= position)
        earlier = earlier.order_by(Checkpoint.size.desc(), Checkpoint.id.desc())
        for (row,) in streamed(self._session, earlier, 1):
            if checkpoints.opened(row.note, signer) is not None:
                return int(row.size)
        return 0
