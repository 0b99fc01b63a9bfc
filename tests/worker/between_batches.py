"""Doing something while a batch is at work: its transaction is open, its archive just written."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from worker.archive import ArchiveStore


@contextmanager
def in_each_batch(what: Callable[[int], None]) -> Iterator[None]:
    """Call `what` with the number of each archive object that is written, from 1."""
    original = ArchiveStore.write
    written: list[None] = []

    def write(self: ArchiveStore, *args: Any) -> Any:
        ref = original(self, *args)
        written.append(None)
        what(len(written))
        return ref

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ArchiveStore, "write", write)
        yield


@contextmanager
def in_the_second_batch(what: Callable[[], None]) -> Iterator[None]:
    def once(number: int) -> None:
        if number == 2:
            what()

    with in_each_batch(once):
        yield
