"""How a store is: the one table of what may follow what, and when it is tried again."""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType

from jobs.pos_sync.failures import CLASSES, Kind


class Condition(StrEnum):
    """The application reads it in its own row of the store."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    ERROR = "error"
    OFFLINE = "offline"
    NEEDS_PERSON = "needs_person"


H, D, E, O, P = Condition  # noqa: E741 - the table reads as a table

ARROWS: Mapping[tuple[Condition, Condition], str] = MappingProxyType(
    {
        (H, D): "a sync failed: the application serves what it has, with its age",
        (D, E): "it failed three times in a row: recovery begins",
        (E, O): "recovery failed three times: a reconnection is tried now and then",
        (H, P): "the failure cannot pass by itself",
        (D, P): "the failure cannot pass by itself",
        (E, P): "the failure cannot pass by itself",
        (O, P): "the failure cannot pass by itself",
        (D, H): "a sync reached its end",
        (E, H): "a sync reached its end",
        (O, H): "a sync reached its end",
        (P, H): "a person mended it, and a sync reached its end",
    }
)
FAILURES_TO_ERROR = 3
FAILURES_TO_OFFLINE = 6
WAITS: Mapping[Condition, tuple[timedelta, timedelta]] = MappingProxyType(
    {
        D: (timedelta(minutes=2), timedelta(minutes=15)),
        E: (timedelta(minutes=5), timedelta(minutes=30)),
        O: (timedelta(minutes=30), timedelta(hours=1)),
    }
)
"""The first and the longest wait for the next attempt; in between it doubles."""


def after_failure(condition: Condition, kind: Kind, failures: int) -> Condition:
    """The condition after so many failures in a row, the last one of this class."""
    if CLASSES[kind].action in ("person", "refresh"):  # a refresh was tried before it came here
        return P
    if condition is P:
        return P
    if failures >= FAILURES_TO_OFFLINE and condition in (E, O):
        return O
    if failures >= FAILURES_TO_ERROR and condition in (D, E):
        return E
    return D if condition is H else condition


def longest_wait(condition: Condition, failures: int) -> timedelta | None:
    """The ceiling of the jitter before the next attempt; None if only a person can go on."""
    if condition not in WAITS:
        return None
    first, longest = WAITS[condition]
    return min(longest, first * (1 << min(failures - 1, 16)))
