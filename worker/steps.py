"""Steps: an item with more records belonging to it than one batch takes loses them bit by bit.

The batch of a step ends where it began, at the item. What steps deleted is put back, the latest
first, if the item is left in the end; that, too, takes one batch for each.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from jobs.base import Outcomes
from worker.targets.base import Batch, BatchRecord, RecordOutcome


@dataclass(frozen=True)
class Steps:
    """Where the item stands that a chunk has come to."""

    open: tuple[BatchRecord, ...]
    """Those whose records are gone, in their order."""
    is_giving_back: bool
    """What was begun is finished: all of it comes back, whatever the item looks like by now."""


def steps_of(batches: Sequence[BatchRecord]) -> Steps:
    """The steps at the end of a chunk's batches."""
    opened: list[BatchRecord] = []
    is_giving_back = False
    for batch in batches:
        if not batch.is_step:
            opened.clear()
        elif batch.gives_back:
            opened.pop()
        else:
            opened.append(batch)
        is_giving_back = batch.gives_back and bool(opened)
    return Steps(tuple(opened), is_giving_back)


def given_back(batches: Sequence[BatchRecord]) -> list[tuple[BatchRecord, BatchRecord]]:
    """Each step that was put back, and the batch that did it."""
    opened: list[BatchRecord] = []
    found: list[tuple[BatchRecord, BatchRecord]] = []
    for batch in batches:
        if not batch.is_step:
            opened.clear()
        elif batch.gives_back:
            found.append((opened.pop(), batch))
        else:
            opened.append(batch)
    return found


def still_changed(batches: Sequence[BatchRecord]) -> list[BatchRecord]:
    """The batches whose changes stand: what an undo has to take back, or what it brought back."""
    over = {batch.number for pair in given_back(batches) for batch in pair}
    return [
        batch
        for batch in batches
        if batch.number not in over and batch.outcomes.changed + batch.children
    ]


def give_back(step: BatchRecord, records: Sequence[RecordOutcome], batch: Batch) -> Outcomes:
    """Restore what the step deleted; what it counted is taken off again."""
    restored = batch.restore(records).cascade
    deleted = step.outcomes.cascade
    return Outcomes(cascade={name: -restored.get(name, 0) for name in deleted})
