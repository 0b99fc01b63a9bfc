"""`docs/states.md`, made from its two tables: `python -m worker.states_doc` prints it."""

import sys
from collections.abc import Iterator

from worker.asking import COMMANDS
from worker.states import ARROWS, UNFINISHED, State

FIRST = (State.QUEUED, State.SKIPPED)


def document() -> str:
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# The states of a run"
    yield ""
    yield "Generated from `worker/states.py` and `worker/asking.py`:"
    yield "`python -m worker.states_doc > docs/states.md`."
    yield ""
    yield "Every change of state takes one of these arrows, by compare-and-set, and writes its"
    yield "audit entry in the same transaction. There are no others: a test tries every pair of"
    yield "states. A run begins as `queued`; a due time that led to no run is a row in `skipped`."
    yield ""
    yield "```mermaid"
    yield "stateDiagram-v2"
    for state in FIRST:
        yield f"    [*] --> {state}"
    for arrow in ARROWS:
        yield f"    {arrow.start} --> {arrow.end}"
    for state in State:
        if _is_over(state):
            yield f"    {state} --> [*]"
    yield "```"
    yield ""
    yield "| from | to | when |"
    yield "|---|---|---|"
    for arrow in ARROWS:
        yield f"| `{arrow.start}` | `{arrow.end}` | {arrow.when} |"
    yield ""
    yield "| state | whose turn it is | what a person may ask for |"
    yield "|---|---|---|"
    for state in State:
        yield f"| `{state}` | {_whose_turn(state)} | {_commands(state)} |"


def _commands(state: State) -> str:
    accepted = [f"`{name}`" for name, command in COMMANDS.items() if state in command.accepted]
    return ", ".join(accepted) or "nothing"


def _is_over(state: State) -> bool:
    return not any(arrow.start == state for arrow in ARROWS)


def _whose_turn(state: State) -> str:
    if state in UNFINISHED:
        return "a worker's, until the run leaves this state"
    return "nobody's: the run is over" if _is_over(state) else "a person's, if they want to go on"


if __name__ == "__main__":
    sys.stdout.write(document())
