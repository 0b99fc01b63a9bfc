"""What the job decided of each document: before-images, and what is written or left alone."""

from collections.abc import Sequence
from typing import Any

from bson.raw_bson import RawBSONDocument

from jobs.base import Decide, Update
from worker.targets import decided
from worker.targets.base import Images
from worker.targets.mongo_quarantine import fits
from worker.targets.mongo_restore import value_at
from worker.targets.mongo_unique import MISSING
from worker.targets.quarantine import TOO_LARGE, Origin


def sort(before: Sequence[RawBSONDocument], decide: Decide, origin: Origin | None) -> Images:
    """What is deleted, moved and updated, and what is left alone."""
    images = decided.sort(before, decide, origin, read=lambda record: record, written=_written)
    large = [record for record, labelled in images.quarantined if not fits(record, labelled)]
    return decided.keep(images, lambda record: record in large, TOO_LARGE) if large else images


def _written(record: RawBSONDocument, change: Update) -> decided.Written:
    """The fields as they are written: one whose parent is not there makes the parent.

    What an undo takes back is then the parent, too.
    """
    written: dict[str, Any] = {}
    for name, value in change.fields.items():
        made = _first_absent(record, name)
        *between, last = [made, *name.removeprefix(made).split(".")[1:]]
        place = written
        for part in between:
            place = place.setdefault(part, {})
        place[last] = value
    return written, change.unset


def _first_absent(record: RawBSONDocument, name: str) -> str:
    """`a` for `a.b.c` in a record without `a`; the name itself if all its parents are there."""
    parts = name.split(".")
    for depth in range(1, len(parts)):
        parent = ".".join(parts[:depth])
        found = value_at(record, parent)
        if found is MISSING or found is None:
            return parent
    return name
