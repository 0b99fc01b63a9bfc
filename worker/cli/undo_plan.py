"""`tend undo RUN --plan`: what an undo would do now, for a person."""

from typing import Any

from rich.console import Console

from worker import present
from worker.cli.output import facts, heading, moment, number
from worker.cli.runs import show_records

Document = dict[str, Any]


def show(out: Console, plan: Document) -> None:
    heading(out, plan["environment"], f"{plan['id']} of {plan['policy']}: what an undo would do")
    facts(
        out,
        [
            ("would return", number(plan["restores"])),
            ("with them", present.cascade_in_words(plan["cascade"])),
            ("in conflict, would stay", number(plan["conflicts"])),
            *((f"  {code}", number(count)) for code, count in plan["codes"].items()),
            ("back already", number(plan["back_already"] or None)),
            ("expired, cannot return", number(plan["expired"] or None)),
            ("can be undone until", moment(plan["until"])),
        ],
    )
    show_records(out, "in conflict", plan["conflict_records"], plan["conflicts"])
