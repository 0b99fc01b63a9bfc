"""What the job decided of each document: before-images, and what is written or left alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from bson.raw_bson import RawBSONDocument

from jobs.base import Decide, Delete, Quarantine, Update
from worker.targets.base import Images, RecordOutcome
from worker.targets.mongo_quarantine import fits
from worker.targets.mongo_restore import value_at
from worker.targets.mongo_unique import MISSING
from worker.targets.quarantine import TOO_LARGE, Origin, label


def sort(
    before: Sequence[RawBSONDocument], decide: Decide, origin: Origin | None
) -> tuple[Images, list[RecordOutcome]]:
    """What the job decided: images of what it deletes, moves and updates, and what it leaves."""
    deleted: list[RawBSONDocument] = []
    updated: list[tuple[RawBSONDocument, dict[str, Any], tuple[str, ...]]] = []
    moved: list[tuple[RawBSONDocument, dict[str, Any]]] = []
    failed: list[RecordOutcome] = []
    for record in before:
        change = decide(record)
        if isinstance(change, Delete):
            deleted.append(record)
        elif isinstance(change, Update):
            updated.append((record, _written(record, change.fields), change.unset))
        elif isinstance(change, Quarantine):
            labelled = label(origin, change, record["_id"])
            if fits(record, labelled):
                moved.append((record, labelled))
            else:
                failed.append(RecordOutcome(record["_id"], "failed", TOO_LARGE))
        else:
            failed.append(RecordOutcome(record["_id"], "failed", change.code))
    return Images(deleted=deleted, updated=updated, quarantined=moved), failed


def _written(record: RawBSONDocument, fields: Mapping[str, Any]) -> dict[str, Any]:
    """The fields as they are written: one whose parent is not there makes the parent.

    What an undo takes back is then the parent, too.
    """
    written: dict[str, Any] = {}
    for name, value in fields.items():
        made = _first_absent(record, name)
        *between, last = [made, *name.removeprefix(made).split(".")[1:]]
        place = written
        for part in between:
            place = place.setdefault(part, {})
        place[last] = value
    return written


def _first_absent(record: RawBSONDocument, name: str) -> str:
    """`a` for `a.b.c` in a record without `a`; the name itself if all its parents are there."""
    parts = name.split(".")
    for depth in range(1, len(parts)):
        parent = ".".join(parts[:depth])
        found = value_at(record, parent)
        if found is MISSING or found is None:
            return parent
    return name
