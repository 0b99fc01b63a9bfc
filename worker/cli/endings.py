"""How a run ended, as an exit code and a sentence."""

import typer

from worker import present
from worker.cli import output
from worker.states import UNFINISHED, State

_CODES = {
    State.PLANNED: 0,
    State.SUCCEEDED: 0,
    State.UNDONE: 0,
    State.REFUSED: 3,
    State.AWAITING_APPROVAL: 4,
}


def exit_code(run: present.Document) -> int:
    """0 for what is done or accepted; `docs/cli.md` lists the rest."""
    state = State(run["state"])
    return 0 if state in UNFINISHED else _CODES.get(state, 1)


def finish(run: present.Document) -> None:
    """End the command as its run stands; what is not well is said in one sentence."""
    code = exit_code(run)
    if code:
        output.say(_sentence(run))
        raise typer.Exit(code)


def _sentence(run: present.Document) -> str:
    match run["state"]:
        case State.REFUSED:
            return f"{run['id']} was refused by a guard: {run['refusal']}."
        case State.AWAITING_APPROVAL:
            return f"{run['id']} waits for {run['waiting_for']}."
        case State.PAUSED:
            return f"{run['id']} is paused; `tend resume {run['id']}` continues it."
        case State.FAILED:
            return f"{run['id']} failed: {run['error']}; `tend resume {run['id']}` continues it."
        case state:
            return f"{run['id']} is {state}."
