"""One try to log in, as every source tells of it, and names that are one name."""

import unicodedata
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import NamedTuple

_NOBODY = frozenset({"", "-", "?", "none", "null", "nil", "undefined", "unknown", "anonymous"})
LONGEST = 256
"""A longer name is nobody's, and would only be kept for whoever sends it."""


class Event(NamedTuple):
    """Who tried from where, when, and whether it failed. A tuple: there may be millions."""

    at: datetime
    user: str | None
    """As it is counted; None for a try that names nobody."""
    address: str
    """As it is counted: the address, or its /64."""
    failed: bool = True
    tries: int = 1
    """How many one line tells of."""
    source: str = ""
    place: str = ""
    """Which of the source's events: an id, or file and offset."""
    name: str | None = None
    """The user as the source writes it."""
    shown: str = ""
    """The address as the source writes it."""


def user_key(name: str | None) -> str | None:
    """One key for one user however the name is written; None for what names nobody.

    A name that stands for nobody must not become a key that strangers share.
    """
    if name is None or len(name) > LONGEST:
        return None
    folded = unicodedata.normalize("NFKC", name).casefold()
    visible = "".join(letter for letter in folded if unicodedata.category(letter) != "Cf")
    key = unicodedata.normalize("NFKC", visible).strip()
    return None if key in _NOBODY else key


def in_order(sources: Sequence[Iterable[Event]]) -> list[Event]:
    """The events of all sources by their time; those that two of them tell of are told once.

    Within a source every event stands for itself. Across sources they are matched one to one by
    user, address, outcome and second: three here and two there were three.
    """
    if len(sources) == 1:
        return sorted(sources[0], key=_when)
    merged: dict[tuple[object, ...], list[Event]] = {}
    for source in sources:
        mine: dict[tuple[object, ...], int] = {}
        for event in source:
            key = (event.user, event.address, event.failed, event.at.replace(microsecond=0))
            known = merged.setdefault(key, [])
            seen = mine.get(key, 0)
            mine[key] = seen + event.tries
            already = sum(each.tries for each in known)
            if mine[key] > already:
                known.append(event._replace(tries=mine[key] - already))
    return sorted((event for events in merged.values() for event in events), key=_when)


def _when(event: Event) -> datetime:
    return event.at
