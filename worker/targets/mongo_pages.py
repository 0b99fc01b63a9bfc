"""Many records from one cursor: decoded a page at a time, while the next comes over the wire."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from typing import Any

import bson
from bson.codec_options import CodecOptions


def records(pages: Any, options: CodecOptions[Any]) -> Iterator[Any]:
    """The records of a cursor of raw batches, which is closed at the end."""
    with pages, ThreadPoolExecutor(1) as beside:
        # A deadline around this is known to the context alone, and a thread has one of its own.
        coming = beside.submit(copy_context().run, _next, pages)
        while (page := coming.result()) is not None:
            coming = beside.submit(copy_context().run, _next, pages)
            yield from bson.decode_all(page, options)


def _next(pages: Any) -> bytes | None:
    page: bytes | None = next(pages, None)
    return page
