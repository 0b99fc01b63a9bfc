"""Many records from one cursor: a page at a time, read while the one before it is worked on."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from datetime import UTC, datetime
from itertools import chain
from typing import Any, TypeVar

from pymongo.collection import Collection

Found = TypeVar("Found")
Page = list[dict[str, Any]]

PAGE = 20_000


def records(
    collection: Collection[Any], condition: Mapping[str, Any], fields: Mapping[str, Any], **how: Any
) -> Iterator[dict[str, Any]]:
    """What `collection.find` finds, with these fields."""
    return chain.from_iterable(ahead(pages(collection, condition, fields, **how)))


def pages(
    collection: Collection[Any], condition: Mapping[str, Any], fields: Mapping[str, Any], **how: Any
) -> Iterator[Page]:
    """The same by the page.

    Read without time zones and given them here: as pymongo gives them, a record takes twice as
    long.
    """
    naive = collection.codec_options.with_options(tz_aware=False)
    cursor = collection.with_options(naive).find(condition, fields, batch_size=PAGE, **how)
    with cursor:
        while page := cursor.to_list(PAGE):
            for record in page:
                _make_aware(record, record.items())
            yield page


def _make_aware(holder: Any, places: Any) -> None:
    """Give the dates in a record, or in a list of it, the time zone that they are in: UTC."""
    for place, value in places:
        kind = type(value)
        if kind is datetime:
            holder[place] = value.replace(tzinfo=UTC)
        elif kind is dict:
            _make_aware(value, value.items())
        elif kind is list:
            _make_aware(value, enumerate(value))


def ahead(found: Iterator[Found]) -> Iterator[Found]:
    """The same, each found while the one before it is worked on."""
    with ThreadPoolExecutor(1) as beside:
        # A deadline around this is known to the context alone, and a thread has one of its own.
        coming = beside.submit(copy_context().run, _next, found)
        while (one := coming.result()) is not None:
            coming = beside.submit(copy_context().run, _next, found)
            yield one


def _next(found: Iterator[Found]) -> Found | None:
    return next(found, None)
