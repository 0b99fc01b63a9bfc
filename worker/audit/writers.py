"""Writers: whoever writes entries numbers them, so that a missing one shows.

A writer serves one transaction at a time. It is used again after a commit, and never after an
error: then nobody knows which of its numbers were used, so what follows has another name.
"""

import os
import threading
from dataclasses import dataclass, field
from uuid import uuid4

from sqlalchemy.orm import Session, SessionTransaction


@dataclass
class Writer:
    """A name, and the number of its last entry."""

    name: str = field(default_factory=lambda: uuid4().hex[:16])
    last: int = 0

    def number(self) -> int:
        self.last += 1
        return self.last


class Writers:
    """The writers of one process that are free; safe to share between threads."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._free: list[Writer] = []
        self._process = os.getpid()

    def take(self) -> Writer:
        with self._lock:
            if self._process != os.getpid():  # after a fork they are the parent's
                self._free, self._process = [], os.getpid()
            return self._free.pop() if self._free else Writer()

    def give_back(self, session: Session) -> None:
        """After a commit: the writer that this session has used, if any."""
        writer = session.info.pop("writer", None)
        if writer is not None:
            with self._lock:
                self._free.append(writer)


def of(session: Session) -> Writer:
    """The writer of a session's transaction."""
    info = session.info
    if "writer" not in info:
        info["writer"] = info["writers"].take() if "writers" in info else Writer()
    writer: Writer = info["writer"]
    return writer


def retire(session: Session, _ended: SessionTransaction) -> None:
    """After a rollback, of a savepoint too: the numbers of what is gone are not given again."""
    session.info.pop("writer", None)
