"""What the command line prints: one JSON document, or lines and tables for a person."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from policies.errors import TendError
from worker.logs import safe_text

_PLAIN_WIDTH = 400
"""Without a terminal nothing is wrapped or cut: a program may read it."""


class RunFailed(TendError):
    """What a command ran into while it worked on a run, and which run that was."""

    def __init__(self, run_id: int, cause: BaseException) -> None:
        super().__init__(f"r-{run_id}: {safe_text(cause)}")
        self.code = str(getattr(cause, "code", "unexpected"))
        self.exit_code = int(getattr(cause, "exit_code", 1))
        self.details = {"run": f"r-{run_id}"}


class Interrupted(TendError):
    """A signal ended this command; the message says what becomes of its run."""

    code = "interrupted"

    def __init__(self, run_id: int, number: int, message: str) -> None:
        super().__init__(message)
        self.exit_code = 128 + number
        self.details = {"run": f"r-{run_id}"}


def console(*, stderr: bool = False) -> Console:
    """Where a person reads: rich on a terminal, plain text elsewhere."""
    stream = sys.stderr if stderr else sys.stdout
    width = None if stream.isatty() else _PLAIN_WIDTH
    return Console(
        stderr=stderr, width=width, highlight=False, markup=False, emoji=False, soft_wrap=True
    )


def print_json(document: Mapping[str, Any]) -> None:
    """The one JSON document of a command with `--json`."""
    json.dump(document, sys.stdout, ensure_ascii=False, indent=2)
    sys.stdout.write("\n")
    sys.stdout.flush()


def say(sentence: str) -> None:
    """A remark on standard error, beside whatever the command prints."""
    console(stderr=True).print(printable(sentence))


def report(error: TendError, code: str, *, as_json: bool) -> None:
    """An error: one sentence for a person, and the same as JSON for a program."""
    message = safe_text(error)
    console(stderr=True).print(Text(message, style="red"))
    if as_json:
        details = getattr(error, "details", {})
        body = {"code": code, "message": message, "details": details}
        print_json({"status": "error", "error": body})


def heading(out: Console, environment: str, text: str) -> None:
    style = "bold red" if environment == "production" else "bold"
    out.print(Text(f"[{environment}]", style=style), printable(text))


def facts(out: Console, rows: Iterable[tuple[str, str | None]]) -> None:
    """Names and values, one below the other; what has no value is left out."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True, style="dim")
    grid.add_column(overflow="fold")
    for name, value in rows:
        if value is not None:
            grid.add_row("  " + name, printable(value))
    out.print(grid)


def table(out: Console, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
    grid = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="dim")
    for place, name in enumerate(names):
        grid.add_column(name, overflow="fold", no_wrap=place == 0)
    for row in rows:
        grid.add_row(*(printable(value) for value in row))
    out.print(grid)


def printable(text: str) -> Text:
    """Text of others, with nothing in it that a terminal would obey."""
    return Text("".join(letter if letter.isprintable() else " " for letter in text))


def number(value: int | None) -> str | None:
    return None if value is None else f"{value:,}"


def moment(value: datetime | str | None) -> str | None:
    """A UTC time to the second, as a person reads it."""
    return None if value is None else f"{utc(value):%Y-%m-%d %H:%M:%S} UTC"


def exact(value: datetime | str) -> str:
    """A UTC time to its last digit, for whoever asks the target the same question."""
    return f"{utc(value).replace(tzinfo=None).isoformat(' ')} UTC"


def utc(value: datetime | str) -> datetime:
    """A time, or one of a document."""
    when = datetime.fromisoformat(value) if isinstance(value, str) else value
    return when.astimezone(UTC)
