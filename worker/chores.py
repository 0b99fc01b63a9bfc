"""Chores: what a long-running process does every few seconds beside its work."""

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass

import structlog

from policies.errors import TendError
from worker import logs

log = structlog.get_logger()


@dataclass
class Chore:
    """Work that goes on after an error; the same trouble is logged once, and its end too."""

    name: str
    work: Callable[[], object]
    seconds: float
    _trouble: str | None = None

    def __call__(self) -> None:
        try:
            self.work()
        except Exception as error:
            why = logs.safe_text(error)
            if why != self._trouble:
                unexpected = not isinstance(error, TendError)
                log.exception(f"{self.name} failed", why=why, exc_info=unexpected)
            self._trouble = why
        else:
            if self._trouble is not None:
                log.info(f"{self.name} works again")
            self._trouble = None


def start(chores: Iterable[Chore], stopping: threading.Event) -> None:
    """Do each in a thread of its own until `stopping` is set, and not once more after that."""

    def go_on(chore: Chore) -> None:
        while not stopping.wait(chore.seconds):
            chore()

    for chore in chores:
        threading.Thread(target=go_on, args=(chore,), name=chore.name, daemon=True).start()
