"""The archive objects of a chunk, in the order of its batches."""

from typing import Any

from worker.tables import Chunk
from worker.targets.base import ArchiveRef


def every(chunk: Chunk) -> tuple[ArchiveRef, ...]:
    return tuple(_ref(each) for each in chunk.archives)


def standing(chunk: Chunk) -> tuple[ArchiveRef, ...]:
    """Those whose word stands: what a step deleted and gave back again is in none of them."""
    counted = ("changed", "others", "children", "conflicts")
    return tuple(_ref(each) for each in chunk.archives if any(each[name] for name in counted))


def changed(chunk: Chunk) -> tuple[ArchiveRef, ...]:
    """Those with something that was changed, or restored."""
    return tuple(_ref(each) for each in chunk.archives if each["changed"] + each["children"])


def at(chunk: Chunk, position: int) -> ArchiveRef | None:
    """The object of the batch in which this item of the chunk was; None if none came so far."""
    end = 0
    for each in chunk.archives:
        end += each["changed"] + each["others"]
        if position < end:
            return _ref(each)
    return None


def _ref(each: dict[str, Any]) -> ArchiveRef:
    return ArchiveRef(each["name"], each["sha256"], each["size"])
