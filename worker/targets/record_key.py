"""A record's key: as bytes, so that it can be looked up, and compared with what a person typed."""

from typing import Any

import bson
from bson import ObjectId


def identity(key: Any) -> bytes:
    """Equal for keys of one type and value alone: 1 and 1.0 differ. It can be a whole document."""
    if type(key) is ObjectId:
        return b"\x13\0\0\0\x07\0" + key.binary + b"\0"  # the same bytes, in a fifth of the time
    return bson.encode({"": key})


def same(left: Any, right: Any) -> bool:
    """Equal as keys are: 5 and 5.0 are one, True and 1 are not."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
