"""Many documents from one cursor: a page at a time, read while the one before it is worked on."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any, TypeVar

from pymongo.collection import Collection

Found = TypeVar("Found")
Page = list[dict[str, Any]]

PAGE = 20_000


def pages(
    collection: Collection[Any], condition: Mapping[str, Any], fields: Mapping[str, Any], **how: Any
) -> Iterator[Page]:
    """What `collection.find` finds, with these fields, but without time zones.

    With them, as pymongo gives them, reading a document takes twice as long.
    """
    naive = collection.codec_options.with_options(tz_aware=False)
    cursor = collection.with_options(naive).find(condition, fields, batch_size=PAGE, **how)
    with cursor:
        while page := cursor.to_list(PAGE):
            yield page


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
