"""What the body of an answer should look like."""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Shape = Literal["any", "json", "health", "error"]

_WELL = ("ok", "healthy", "up", "pass", "success")


def misshapen(body: bytes, shape: Shape, keys: Sequence[str]) -> str | None:
    """What is wrong with it, without a value of it; None if it is as it should be."""
    if shape == "any" and not keys:
        return None
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return "the body is no JSON"
    lacks = [key for key in (*_KEYS.get(shape, ()), *keys) if not _has(document, key)]
    if lacks:
        return f"the body lacks {', '.join(lacks[:5])}"
    if shape == "error" and document["status"] != "error":
        return "the body is no error: its status is another"
    if shape == "health" and str(document["status"]).lower() not in _WELL:
        return "the application says that it is not well"
    return None


_KEYS: Mapping[str, Sequence[str]] = {
    "health": ("status",),
    "error": ("status", "error.code", "error.message", "error.details"),
}


def _has(document: Any, key: str) -> bool:
    """Whether there is this key; `a.b` is b inside of a."""
    for part in key.split("."):
        if not isinstance(document, dict) or part not in document:
            return False
        document = document[part]
    return True
