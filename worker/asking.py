"""What a person may ask of a run: the one table of commands by state, and what to do instead.

`docs/states.md` prints it; a test tries every command in every state.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from sqlalchemy.orm import Session

from policies.models import Policy
from worker import database, runs
from worker.errors import ForbiddenArrow, PlanExpired, PolicyChanged
from worker.states import UNFINISHED, State
from worker.tables import Run


@dataclass(frozen=True)
class Command:
    """In which states a command is accepted, and the word for what it does to the run."""

    accepted: frozenset[State]
    done: str


COMMANDS: Mapping[str, Command] = MappingProxyType(
    {
        "apply": Command(frozenset({State.PLANNED}), "applied"),
        "approve": Command(frozenset({State.AWAITING_APPROVAL}), "approved"),
        "reject": Command(frozenset({State.AWAITING_APPROVAL}), "rejected"),
        "override": Command(frozenset({State.REFUSED}), "overridden"),
        "cancel": Command(
            frozenset(
                {
                    State.QUEUED,
                    State.PLANNING,
                    State.PLANNED,
                    State.AWAITING_APPROVAL,
                    State.APPLYING,
                    State.PAUSED,
                    State.FAILED,
                }
            ),
            "cancelled",
        ),
        "pause": Command(frozenset({State.APPLYING, State.UNDOING}), "paused"),
        # One at work has perhaps lost its inline process.
        "resume": Command(UNFINISHED | {State.FAILED, State.PAUSED}, "resumed"),
        "undo": Command(
            frozenset({State.SUCCEEDED, State.PAUSED, State.FAILED, State.CANCELLED}), "undone"
        ),
        # A failed run that may go on is ended first, for an undo closes its fences.
        "undo --only": Command(frozenset({State.SUCCEEDED, State.CANCELLED}), "undone in part"),
    }
)

INSTEAD: Mapping[State, str] = MappingProxyType(
    {
        State.QUEUED: "a worker plans it first, and `tend cancel {run}` ends it",
        State.SKIPPED: "its due time led to no run, and `tend plan {policy}` plans the policy now",
        State.PLANNING: "wait until it is planned, or end it with `tend cancel {run}`",
        State.PLANNED: "read its plan, then `tend apply {run}` or `tend cancel {run}`",
        State.AWAITING_APPROVAL: "another person decides, with `tend approve {run}` or "
        "`tend reject {run}`",
        State.REJECTED: "`tend show {run}` says why, and `tend plan {policy}` plans anew",
        State.REFUSED: "`tend override {run}` asks another person for it all the same, and "
        "`tend plan {policy} --limit …` plans a part",
        State.EXPIRED: "nobody let it go on in time, so plan anew with `tend plan {policy}`",
        State.APPLYING: "wait until it has ended, or end it with `tend cancel {run}`",
        State.PAUSED: "`tend resume {run}`, `tend undo {run}` or `tend cancel {run}` goes on",
        State.VERIFYING: "wait until it is verified; then `tend undo {run}` takes it back",
        State.SUCCEEDED: "`tend undo {run}` takes it back",
        State.FAILED: "`tend resume {run}`, `tend undo {run}` or `tend cancel {run}` goes on",
        State.CANCELLED: "`tend undo {run}` takes back what it changed; the rest is planned anew",
        State.UNDOING: "its undo goes on to the end, and `tend show {run}` says how far it is",
        State.UNDONE: "it was taken back, and `tend plan {policy}` plans anew",
    }
)
"""What is left to do with a run that does not take a command."""


def must_accept(run: Run, command: str) -> None:
    """Raise `ForbiddenArrow` when a run in this state takes no such command."""
    asked = COMMANDS[command]
    if run.state == State.PAUSED and run.phase != "apply" and command != "resume":
        raise ForbiddenArrow(
            f"r-{run.id} is paused in the middle of its undo and cannot be {asked.done}: "
            f"`tend resume r-{run.id}` goes on with the undo."
        )
    if run.state not in asked.accepted:
        instead = INSTEAD[State(run.state)].format(run=f"r-{run.id}", policy=run.policy)
        state = run.state.replace("_", " ")
        raise ForbiddenArrow(f"r-{run.id} is {state} and cannot be {asked.done}: {instead}.")


def must_be_in_time(session: Session, run: Run) -> None:
    """Raise `PlanExpired` for a plan that waited longer than its policy allows."""
    if run.key is None or (run.expires_at is not None and run.expires_at <= database.now(session)):
        raise PlanExpired(
            f"The plan of r-{run.id} is past its time; plan anew with `tend plan {run.policy}`."
        )


def must_be_of_todays_text(run: Run, today: Policy) -> None:
    """Raise `PolicyChanged` for a plan of a text that is no longer the policy's."""
    if run.policy_version != today.version:
        raise PolicyChanged(
            f"Policy {run.policy} was changed after r-{run.id} was planned; plan it anew with "
            f"`tend plan {run.policy}`."
        )


def must_be_alone(session: Session, run: Run) -> None:
    """Raise `ForbiddenArrow` while another run of the policy, or on its collection, is at work."""
    other = runs.busy(session, run, lock=True)
    if other is not None:
        raise ForbiddenArrow(
            f"r-{other.id} ({other.policy}) is {other.state}; wait for it or cancel it first."
        )
