"""What a job decided of a batch's records: sorted, archived beside the change, and counted."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from contextvars import copy_context
from dataclasses import replace
from typing import Any

from jobs.base import Decide, Delete, Outcomes, Quarantine, Record, Update
from worker.targets.base import Archive, ArchiveRef, Images, RecordOutcome
from worker.targets.quarantine import Origin, label

Written = tuple[dict[str, Any], tuple[str, ...]]
"""The fields of a record that are written, and the names of those that are removed."""


def sort(
    before: Sequence[Any],
    decide: Decide,
    origin: Origin | None,
    *,
    read: Callable[[Any], Record],
    written: Callable[[Any, Update], Written],
) -> Images:
    """The before-images by what becomes of them; `read` makes of one what a job reads."""
    deleted: list[Any] = []
    updated: list[tuple[Any, dict[str, Any], tuple[str, ...]]] = []
    quarantined: list[tuple[Any, dict[str, Any]]] = []
    others: list[RecordOutcome] = []
    for image in before:
        change = decide(read(image))
        if isinstance(change, Delete):
            deleted.append(image)
        elif isinstance(change, Update):
            updated.append((image, *written(image, change)))
        elif isinstance(change, Quarantine):
            quarantined.append((image, label(origin, change, image["_id"])))
        else:
            others.append(RecordOutcome(image["_id"], "failed", change.code))
    return Images(deleted, updated, quarantined, others)


def keep(images: Images, stays: Callable[[Any], bool], code: str) -> Images:
    """Those of the leaving records that the target cannot let go fail with this code."""
    kept = [RecordOutcome(image["_id"], "failed", code) for image in images.leaving if stays(image)]
    if not kept:
        return images
    return replace(
        images,
        deleted=[image for image in images.deleted if not stays(image)],
        quarantined=[pair for pair in images.quarantined if not stays(pair[0])],
        others=[*images.others, *kept],
    )


@contextmanager
def archived_beside(archive: Archive, images: Images) -> Iterator[Future[ArchiveRef]]:
    """Write the archive while the block makes the change: nothing is kept before the commit.

    The block asks for the result before its caller can commit, so no change outlives a lost image.
    """
    with ThreadPoolExecutor(1) as beside:
        yield beside.submit(copy_context().run, archive, images)


def counted(images: Images) -> Outcomes:
    """How many of the planned records each outcome has."""
    others = Counter(record.outcome for record in images.others)
    return Outcomes(
        changed=len(images.leaving) + len(images.updated),
        failed=others["failed"],
        gone=others["gone"],
        changed_since=others["changed_since"],
        held=others["held"],
    )
