"""The quarantine of a collection: records that were moved aside, each with the reason.

A quarantined copy is a document of its own: what Tend says of the record, and the record whole.
"""

from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import uuid4

from jobs.base import Quarantine

SUFFIX = "_quarantine"
TOO_LARGE = "too_large_for_quarantine"


@dataclass(frozen=True)
class Origin:
    """The run that moves records, as their quarantined copies name it."""

    policy: str
    run: str
    at: datetime


def label(origin: Origin | None, move: Quarantine, key: Any) -> dict[str, Any]:
    """What a quarantined copy bears beside the record; databases keep milliseconds."""
    if origin is None:
        raise AssertionError("a job moves records, and its policy's options do not say so")
    at = origin.at.replace(microsecond=origin.at.microsecond // 1000 * 1000)
    return {
        "_id": uuid4().hex,
        "key": key,
        "codes": list(move.codes),
        "policy": origin.policy,
        "run": origin.run,
        "at": at,
        "until": at + move.keep,
    }
