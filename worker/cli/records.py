"""`tend records`: which records a run touched, each with what became of it and why."""

import csv
import sys
from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any

import typer

from policies.errors import TendError
from worker import access, operations
from worker import runs as store
from worker.cli import context, options, output
from worker.documents import records as documents
from worker.errors import UsageError
from worker.listing import Became
from worker.logs import safe_text
from worker.spreadsheets import cell

Document = dict[str, Any]
COLUMNS = ("collection", "key", "outcome", "code", "before", "after")


def records(
    run: options.RunId,
    outcome: Annotated[
        Became | None, typer.Option("--outcome", help="Only those of which this became.")
    ] = None,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print comma-separated values.")] = False,
    reveal: Annotated[
        bool, typer.Option("--reveal", help="Show values unmasked; takes --reason, and is audited.")
    ] = False,
    reason: options.Reason = "",
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """List every record of a run, masked, with what became of it and why."""
    if as_csv and as_json:
        raise UsageError("--csv and --json cannot both be printed; choose one.")
    settings = context.load_settings()
    run_id = store.parse_id(run)
    person = None
    if reveal:
        access.must_allow("records --reveal", context.WHO.get(), settings.env)
        person = context.person(reason, on_behalf_of)
    with context.control(settings) as database:
        found = documents.found(settings, database, run_id, is_revealed=reveal)
        if person is not None:
            operations.reveal(database, run_id, person, outcome)
        counts: Counter[str] = Counter()
        rows = documents.chosen(found.rows(), outcome, counts)
        if as_json:
            _print_json(run_id, rows, counts)
        elif as_csv:
            _print_csv(rows)
        else:
            _print_lines(rows)
    output.say(_summary(run_id, counts, outcome))


def _summary(run_id: int, counts: Counter[str], outcome: str | None) -> str:
    parts = [f"{counts[name]:,} {name.replace('_', ' ')}" for name in Became if counts[name]]
    listed = "" if outcome is None else f"; listed: {outcome.replace('_', ' ')}"
    return f"r-{run_id}: {', '.join(parts) or 'no records'}{listed}"


def _print_lines(rows: Iterable[Document]) -> None:
    for row in rows:
        what = f"{row['outcome']:<11} {row['code'] or '':<14} {row['key']}"
        before = f"  {_flat(row['before'])}" if row["before"] else ""
        after = f" → {_flat(row['after'])}" if row["after"] else ""
        sys.stdout.write(f"{output.printable(f'{what}{before}{after}')}\n")
    sys.stdout.flush()


def _print_csv(rows: Iterable[Document]) -> None:
    writer = csv.writer(sys.stdout, lineterminator="\n")
    writer.writerow(COLUMNS)
    for row in rows:
        writer.writerow(cell(row[name]) for name in COLUMNS)
    sys.stdout.flush()


def _print_json(run_id: int, rows: Iterable[Document], counts: Counter[str]) -> None:
    failed: list[TendError] = []
    for part in documents.as_json(run_id, rows, counts, failed):
        sys.stdout.write(part)
    sys.stdout.flush()
    for error in failed:
        output.say(safe_text(error))
        raise typer.Exit(error.exit_code)


def _flat(fields: Document) -> str:
    return ", ".join(f"{name}: {value}" for name, value in fields.items())
