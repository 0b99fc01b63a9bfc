"""A record's key: as bytes, so that it can be looked up, and compared with what a person typed."""

from typing import Any

import bson


def identity(key: Any) -> bytes:
    """Equal for keys of one type and value alone: 1 and 1.0 differ. It can be a whole document."""
    return bson.encode({"": key})


def same(left: Any, right: Any) -> bool:
    """Equal as keys are: 5 and 5.0 are one, True and 1 are not."""
    return isinstance(left, bool) == isinstance(right, bool) and bool(left == right)
