"""`tend indexes`: those that the policies need and the application is better off with."""

import sys
import threading
import time
from typing import Annotated, Any

import typer

from policies.errors import TendError
from policies.loader import did_you_mean
from worker.cli import context, options, output
from worker.cli.output import heading, number
from worker.database import Database
from worker.errors import UsageError
from worker.indexes import creating
from worker.indexes.wanted import Wanted, wanted
from worker.operations import Person
from worker.settings import Settings
from worker.targets.mongo_indexes import Index, MongoIndexes

Document = dict[str, Any]
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
    found = _wanted(settings)
    with MongoIndexes(_url_to_look(settings)) as database:
        existing = database.existing()
        rows = [_row(each, existing, database) for each in found]
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
    name: Annotated[str, typer.Argument(metavar="INDEX", help="Such as salesData.createdAt")],
    reason: options.Reason,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask, on a terminal either.")] = False,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Create one index of the list; its size is shown first, and on a terminal it is asked for."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    each = _named(settings, name)
    with (
        context.control(settings) as control,
        MongoIndexes(settings.need("mongo_url")) as database,
    ):
        creating.must_be_free(each, database.existing())
        estimated = database.estimate(each.collection, each.fields)
        output.say(f"{each.name} will take about {estimated:,} bytes.")
        if not yes:
            _ask(each)
        made = _watched(control, database, each, estimated, person)
        size = next(i.size for i in database.existing()[each.collection] if i.name == made)
    if as_json:
        output.print_json(
            {"index": each.name, "name": made, "size": size, "estimated_bytes": estimated}
        )
    else:
        heading(output.console(), settings.env, f"{each.name} is there, with {size:,} bytes")


def _wanted(settings: Settings) -> list[Wanted]:
    return wanted(loaded.policy for loaded in context.load_policies(settings))


def _named(settings: Settings, name: str) -> Wanted:
    found = {each.name: each for each in _wanted(settings)}
    if name not in found:
        raise UsageError(
            f"no policy needs an index '{name}', and it is not recommended; "
            f"{did_you_mean(name, found)}"
        )
    return found[name]


def _url_to_look(settings: Settings) -> str:
    read_url = settings.mongo_read_url
    return read_url.get_secret_value() if read_url else settings.need("mongo_url")


def _row(each: Wanted, existing: dict[str, list[Index]], database: MongoIndexes) -> Document:
    found = creating.serving(each, existing)
    state = "present" if found else "missing"
    is_there = each.collection in existing
    estimated = database.estimate(each.collection, each.fields) if is_there and not found else None
    return {
        "index": each.name,
        "state": "building" if found and found.is_building else state,
        "name": found.name if found else None,
        "size": found.size if found else None,
        "estimated_bytes": estimated,
        "needed_by": list(each.needed_by),
        "recommended": each.because,
    }


def _cells(row: Document) -> tuple[str, ...]:
    about = number(row["estimated_bytes"])
    size = number(row["size"]) or (f"about {about}" if about else "")
    needed = ", ".join(row["needed_by"])
    return (row["index"], row["state"], size, needed, row["recommended"] or "")


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


def _watched(
    control: Database, database: MongoIndexes, each: Wanted, estimated: int, person: Person
) -> str:
    """Build in a thread and say now and then how far it is; Ctrl-C leaves the build to itself."""
    made: list[str] = []
    failed: list[Exception] = []

    def work() -> None:
        try:
            made.append(creating.create(control, database, each, estimated, person))
        except Exception as error:  # noqa: BLE001 - raised below, where the command waits
            failed.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    try:
        _follow(thread, database, each)
    except KeyboardInterrupt:
        raise BuildLeft(
            f"A build that has begun goes on in the server without this command; `tend indexes` "
            f"shows {each.name}, and db.{each.collection}.dropIndex ends its build."
        ) from None
    if failed:
        raise failed[0]
    return made[0]


def _follow(thread: threading.Thread, database: MongoIndexes, each: Wanted) -> None:
    began = said = time.monotonic()
    output.say(f"{each.name} is being built; Ctrl-C ends this command and not the build.")
    while thread.is_alive():
        thread.join(LOOK_SECONDS)
        if time.monotonic() - said > LINE_SECONDS:
            said = time.monotonic()
            progress = database.progress(each.collection)
            far = f", {progress[0]:,} of {progress[1]:,} records" if progress else ""
            output.say(f"{each.name} is being built{far} ({output.length(said - began)})")
