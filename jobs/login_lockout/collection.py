"""Login events out of a collection: read anew over the whole window, so that none is missed.

Events are written by many servers with clocks of their own: one that arrives late, or with an
older key, would be behind any position that were kept.
"""

from collections import Counter
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from jobs.base import Record
from jobs.login_lockout.addresses import key_of
from jobs.login_lockout.events import Event, user_key
from jobs.login_lockout.options import CollectionSource
from jobs.task import Documents

MOST = 1_000


def read(
    documents: Documents,
    source: CollectionSource,
    begin: datetime,
    end: datetime,
    set_aside: Counter[str],
    met: list[datetime],
) -> Iterator[Event]:
    """The events from `begin` to `end`, in the order of their time.

    `met` gets the time of each document that was read, whatever it tells of.
    """
    fields = ["_id", source.at, source.address, source.outcome, *source.users]
    outcomes = (*source.failed, *source.succeeded)
    where = {source.at: {"$gte": begin, "$lte": end}}
    for record in documents.find(source.collection, where, fields, order=source.at):
        met.append(record[source.at])
        if record.get(source.outcome) not in outcomes:
            continue
        event = _event(source, record)
        if event is None:
            set_aside["address"] += 1
        else:
            yield event


def from_the_future(documents: Documents, source: CollectionSource, end: datetime) -> int:
    """How many events, up to `MOST`, are later than any clock may be."""
    where = {source.at: {"$gt": end}}
    return sum(1 for _ in documents.find(source.collection, where, ["_id"], limit=MOST))


def _event(source: CollectionSource, record: Record) -> Event | None:
    """None where no address can be read: a try from nowhere counts towards nothing certain."""
    shown = record.get(source.address)
    address = key_of(shown) if isinstance(shown, str) else None
    at = record.get(source.at)
    if address is None or not isinstance(at, datetime):
        return None
    name = next((_text(record.get(field)) for field in source.users if _is_name(record, field)), "")
    return Event(
        at,
        user_key(name),
        address,
        record.get(source.outcome) in source.failed,
        1,
        source.collection,
        str(record["_id"]),
        name or None,
        str(shown),
    )


def _is_name(record: Record, field: str) -> bool:
    """A document or a list names nobody, whatever a client has sent."""
    value = record.get(field)
    return value is not None and value != "" and not isinstance(value, dict | list | bool)


def _text(value: Any) -> str:
    return str(value)
