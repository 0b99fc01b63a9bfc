"""The states of a run and the one table of arrows between them.

`docs/states.md` is generated from this table; a test tries every arrow that is not in it.
"""

from dataclasses import dataclass
from enum import StrEnum


class State(StrEnum):
    """Where a run stands."""

    QUEUED = "queued"
    SKIPPED = "skipped"
    PLANNING = "planning"
    PLANNED = "planned"
    AWAITING_APPROVAL = "awaiting_approval"
    REJECTED = "rejected"
    REFUSED = "refused"
    EXPIRED = "expired"
    APPLYING = "applying"
    PAUSED = "paused"
    VERIFYING = "verifying"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    UNDOING = "undoing"
    UNDONE = "undone"


@dataclass(frozen=True)
class Arrow:
    start: State
    end: State
    when: str


ARROWS = (
    Arrow(State.QUEUED, State.PLANNING, "A worker begins the plan."),
    Arrow(State.QUEUED, State.CANCELLED, "A person ends the run before it began."),
    Arrow(State.PLANNING, State.PLANNED, "The plan is frozen and every guard passed."),
    Arrow(
        State.PLANNING, State.REFUSED, "A guard tripped: on the frozen plan, or before the scan."
    ),
    Arrow(State.PLANNING, State.FAILED, "The scan raised, or lost its worker too often."),
    Arrow(State.PLANNING, State.CANCELLED, "A person ends the run while it plans."),
    Arrow(State.PLANNED, State.APPLYING, "The run may change data: begin with the chunks."),
    Arrow(State.PLANNED, State.AWAITING_APPROVAL, "The policy asks for another person's yes."),
    Arrow(State.PLANNED, State.REFUSED, "A guard tripped when it was judged again."),
    Arrow(State.PLANNED, State.EXPIRED, "Nobody applied the plan in time."),
    Arrow(State.PLANNED, State.CANCELLED, "A person ends the run before it changed anything."),
    Arrow(State.REFUSED, State.AWAITING_APPROVAL, "Each guard that tripped was overridden."),
    Arrow(State.AWAITING_APPROVAL, State.APPLYING, "Another person approves the plan."),
    Arrow(State.AWAITING_APPROVAL, State.REJECTED, "A person rejects the plan."),
    Arrow(State.AWAITING_APPROVAL, State.EXPIRED, "Nobody approved the plan in time."),
    Arrow(State.AWAITING_APPROVAL, State.CANCELLED, "A person ends the run while it waits."),
    Arrow(State.APPLYING, State.VERIFYING, "Every chunk is done."),
    Arrow(State.APPLYING, State.FAILED, "A chunk failed, or the person who ran it interrupted it."),
    Arrow(State.APPLYING, State.CANCELLED, "A person ends the run; what was changed stays."),
    Arrow(State.APPLYING, State.PAUSED, "A person pauses the run; its chunks are given back."),
    Arrow(State.PAUSED, State.APPLYING, "A person resumes a run that was paused while applying."),
    Arrow(State.PAUSED, State.UNDOING, "A person undoes a paused run, or resumes its undo."),
    Arrow(State.PAUSED, State.CANCELLED, "A person ends a paused run; what was changed stays."),
    Arrow(State.VERIFYING, State.SUCCEEDED, "The selector was asked again; the rest is explained."),
    Arrow(State.VERIFYING, State.FAILED, "The target could not be asked again."),
    Arrow(State.FAILED, State.QUEUED, "A person resumes a run that failed while planning."),
    Arrow(State.FAILED, State.APPLYING, "A person resumes a run that failed while applying."),
    Arrow(State.FAILED, State.UNDOING, "A person undoes a failed run, or resumes its undo."),
    Arrow(State.FAILED, State.CANCELLED, "A person ends a failed run for good."),
    Arrow(State.SUCCEEDED, State.UNDOING, "A person takes the run back."),
    Arrow(State.CANCELLED, State.UNDOING, "A person takes back what was done before the end."),
    Arrow(State.UNDOING, State.UNDONE, "Every record that could be restored is restored."),
    Arrow(State.UNDOING, State.PAUSED, "A person pauses the undo; its chunks are given back."),
    Arrow(State.UNDOING, State.SUCCEEDED, "Single records are back; the rest stays changed."),
    Arrow(State.UNDOING, State.CANCELLED, "Single records are back; the rest stays as it was."),
    Arrow(State.UNDOING, State.FAILED, "A chunk could not be restored; `resume` continues."),
)

ALLOWED = frozenset((arrow.start, arrow.end) for arrow in ARROWS)
UNFINISHED = frozenset(
    {State.QUEUED, State.PLANNING, State.APPLYING, State.VERIFYING, State.UNDOING}
)
"""States in which a worker has something to do; every other state waits for a person or is over."""

BUSY = UNFINISHED | {State.PAUSED}
"""States that keep a policy to one run: one that is paused has changed a part of its records."""
