"""What a person may do to a run, as buttons: each asks for a reason first."""

from dataclasses import dataclass

from worker import asking, guards
from worker.states import State
from worker.tables import Run


@dataclass(frozen=True)
class Action:
    """A button, and what is said before it does anything."""

    name: str
    label: str
    says: str
    is_danger: bool = False

    @property
    def command(self) -> str:
        """The command whose role it takes."""
        return self.name


ACTIONS = (
    Action("apply", "Apply this plan", "Exactly the planned records are changed, each only if it "
           "still is as the plan saw it."),
    Action("approve", "Approve", "The plan goes on exactly as it was frozen. Whoever asked for it "
           "cannot approve it."),
    Action("reject", "Reject", "The plan ends here, and nothing was changed."),
    Action("override", "Override the guard", "Another person is asked to approve this very plan "
           "although the guard refused it; every other guard stays."),
    Action("pause", "Pause", "The run stops at its next batch until somebody resumes it."),
    Action("resume", "Resume", "The run goes on where it stopped."),
    Action("cancel", "Cancel", "No batch begins after this. What was changed stays changed, and "
           "can be undone.", is_danger=True),
)  # fmt: skip


def offered(run: Run) -> list[Action]:
    """Those that make sense now; `asking` decides when one is asked for."""
    return [each for each in ACTIONS if _makes_sense(run, each.name)]


def can_be_undone(run: Run) -> bool:
    is_accepted = run.state in asking.COMMANDS["undo"].accepted and run.phase == "apply"
    return is_accepted and run.applying_at is not None and run.key is not None


def _makes_sense(run: Run, name: str) -> bool:
    if run.state not in asking.COMMANDS[name].accepted:
        return False
    if name == "resume":
        return run.state in {State.PAUSED, State.FAILED}
    if name == "override":
        return run.key is not None and bool(guards.refusing(run))
    return not (name == "cancel" and run.state == State.PAUSED and run.phase != "apply")
