"""`tend indexes`: those that the policies need and the application is better off with."""

import sys
import threading
import time
from collections.abc import Callable, Container
from functools import partial
from typing import Annotated, Any

import typer

from policies.errors import TendError
from policies.loader import did_you_mean
from worker.cli import context, options, output
from worker.cli.output import heading, number
from worker.errors import TargetError, UsageError
from worker.indexes import creating
from worker.indexes.wanted import Wanted, wanted
from worker.settings import Settings
from worker.targets.indexes import Index, Indexes
from worker.targets.kinds import TENDED, kinds_set
from worker.targets.mongo_indexes import MongoIndexes
from worker.targets.sql_indexes import SqlIndexes
from worker.times import length

Document = dict[str, Any]
DATABASES: dict[str, Callable[[str], Indexes]] = {"mongo": MongoIndexes, "sql": SqlIndexes}
LOOK_SECONDS = 0.5
LINE_SECONDS = 5.0

app = typer.Typer(add_completion=False, invoke_without_command=True)


class NotConfirmed(TendError):
    """The person did not type the index's name; nothing was created."""

    code = "not_confirmed"


class BuildLeft(TendError):
    """Ctrl-C ended the command and not the build."""

    code = "interrupted"
    exit_code = 130


@app.callback()
def indexes(ctx: typer.Context, as_json: options.Json = False) -> None:
    """List the indexes that policies need, and those recommended: present or missing, and size."""
    if ctx.invoked_subcommand is not None:
        return
    settings = context.load_settings()
    rows = [row for kind in kinds_set(settings) for row in _rows(settings, kind)]
    if as_json:
        output.print_json({"indexes": rows})
        return
    out = output.console()
    missing = sum(row["state"] == "missing" for row in rows)
    heading(out, settings.env, f"{len(rows)} indexes, {missing} missing")
    names = ("index", "state", "bytes", "needed by", "recommended, for")
    output.table(out, names, (_cells(row) for row in rows))


@app.command()
def create(
    name: Annotated[str, typer.Argument(metavar="INDEX", help="Such as mongo/salesData.createdAt")],
    reason: options.Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, on a terminal either.")] = False,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Create one index of the list; its size is shown first, and on a terminal it is asked for."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    each = _named(settings, name)
    url = settings.need(TENDED[each.target].url)
    with context.control(settings) as control, DATABASES[each.target](url) as database:
        existing = database.existing()
        creating.must_be_free(each, existing)
        invalid = creating.left_invalid(each, existing)
        for left in invalid:
            output.say(f"{left} is invalid, left by a build that failed; it is dropped first.")
        estimated = database.estimate(each.collection, each.fields)
        output.say(f"{each.name} will take about {estimated:,} bytes.")
        if not yes:
            _ask(each)
        build = partial(creating.create, control, database, each, estimated, person, invalid)
        made = _watched(build, database, each)
        size = next(i.size for i in database.existing()[each.collection] if i.name == made)
    if as_json:
        output.print_json(
            {"index": each.name, "name": made, "size": size, "estimated_bytes": estimated}
        )
    else:
        told = f", with {size:,} bytes" if size is not None else ""
        heading(output.console(), settings.env, f"{each.name} is there{told}")


def _wanted(settings: Settings, kinds: Container[str]) -> list[Wanted]:
    return wanted((loaded.policy for loaded in context.load_policies(settings)), kinds)


def _named(settings: Settings, name: str) -> Wanted:
    """By its name with its target, or without if that is enough."""
    every = _wanted(settings, kinds_set(settings))
    found = [each for each in every if name in {each.name, each.short}]
    if len(found) == 1:
        return found[0]
    if found:
        raise UsageError(f"{name} is in more than one database; say {_either(found)}.")
    raise UsageError(
        f"no policy needs an index '{name}', and it is not recommended; "
        f"{did_you_mean(name, [form for each in every for form in (each.short, each.name)])}"
    )


def _either(found: list[Wanted]) -> str:
    return " or ".join(each.name for each in found)


def _rows(settings: Settings, kind: str) -> list[Document]:
    """What is wanted of one database, and what it has of it."""
    with DATABASES[kind](TENDED[kind].url_to_look(settings)) as database:
        existing = database.existing()
        return [_row(each, existing, database) for each in _wanted(settings, {kind})]


def _row(each: Wanted, existing: dict[str, list[Index]], database: Indexes) -> Document:
    found = creating.serving(each, existing)
    lacking = "invalid" if creating.left_invalid(each, existing) else "missing"
    state = "present" if found else lacking
    is_wanting = each.collection in existing and not found
    return {
        "index": each.name,
        "unique": each.unique,
        "state": "building" if found and found.is_building else state,
        "name": found.name if found else None,
        "size": found.size if found else None,
        "estimated_bytes": _estimate(each, database) if is_wanting else None,
        "needed_by": list(each.needed_by),
        "recommended": each.because,
    }


def _estimate(each: Wanted, database: Indexes) -> int | None:
    """None for what the database could not build as things are: a column may be missing."""
    try:
        return database.estimate(each.collection, each.fields)
    except TargetError:
        return None


def _cells(row: Document) -> tuple[str, ...]:
    about = number(row["estimated_bytes"])
    size = number(row["size"]) or (f"about {about}" if about else "")
    needed = ", ".join(row["needed_by"])
    return (
        row["index"] + (" (unique)" if row["unique"] else ""),
        row["state"],
        size,
        needed,
        row["recommended"] or "",
    )


def _ask(each: Wanted) -> None:
    if not (sys.stdin.isatty() and sys.stderr.isatty()):
        return
    out = output.console(stderr=True)
    try:
        out.print(f"Type {each.name} to create it: ", end="")
        answer = sys.stdin.readline().strip()
    except KeyboardInterrupt:
        answer = ""
        out.print()
    if answer != each.name:
        raise NotConfirmed(f"That is not {each.name}, so nothing was created.")


def _watched(build: Callable[[], str], database: Indexes, each: Wanted) -> str:
    """Build in a thread and say now and then how far it is; Ctrl-C ends the watching."""
    made: list[str] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            made.append(build())
        except Exception as error:  # noqa: BLE001 - raised below, where the command waits
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        _follow(thread, database, each)
    except KeyboardInterrupt:
        raise BuildLeft(_what_is_left(database, each)) from None
    if failed:
        raise failed[0]
    return made[0]


def _what_is_left(database: Indexes, each: Wanted) -> str:
    if not database.goes_on:
        return f"The build ended with this command, and nothing of {each.name} is left."
    return (
        "A build that has begun goes on in the server without this command; `tend indexes` shows "
        f"{each.name}, and dropping the index ends its build."
    )


def _follow(thread: threading.Thread, database: Indexes, each: Wanted) -> None:
    began = said = time.monotonic()
    ends = (
        "and not the build" if database.goes_on else "and the build, and until then nobody writes"
    )
    output.say(f"{each.name} is being built; Ctrl-C ends this command {ends}.")
    while thread.is_alive():
        thread.join(LOOK_SECONDS)
        if time.monotonic() - said > LINE_SECONDS:
            said = time.monotonic()
            progress = database.progress(each.collection)
            far = f", {progress}" if progress else ""
            output.say(f"{each.name} is being built{far} ({length(said - began)})")
