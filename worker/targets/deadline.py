"""A deadline around questions to a target, whatever kind it is: the shorter limit holds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

import pymongo

_LEAST = 0.001
"""The driver takes 0 for no limit at all."""
_ends: ContextVar[float] = ContextVar("ends", default=float("inf"))


@contextmanager
def within(seconds: float) -> Iterator[None]:
    """Every question that this thread asks a target in this block ends by then.

    What takes longer raises `DeadlineExceeded`.
    """
    token = _ends.set(min(_ends.get(), time.monotonic() + seconds))
    try:
        with pymongo.timeout(max(seconds, _LEAST)):
            yield
    finally:
        _ends.reset(token)


def seconds_left(most: float) -> float:
    """`most`, or what a deadline around this leaves of it."""
    return max(0.0, min(most, _ends.get() - time.monotonic()))
