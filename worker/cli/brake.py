"""`tend brake`: stop all change, or one policy's, and let it go on again."""

from functools import partial
from typing import Annotated, Any

import typer

from worker import braking, by_hand
from worker.cli import context, options, output
from worker.cli.output import facts, heading, moment
from worker.database import Database
from worker.documents import brake as documents
from worker.settings import Settings

app = typer.Typer(add_completion=False)
PolicyOption = Annotated[str | None, typer.Option("--policy", help="Only this policy.")]


@app.command()
def pull(
    reason: options.Reason,
    policy: PolicyOption = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Stop the security jobs, too.")
    ] = False,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Stop all change at the next batch; returns when the batches at work have ended."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    with context.control(settings) as database:
        policies = partial(context.load_policies, settings)
        document = documents.pull(
            database, policies, policy, person, everything=everything, say=output.say
        )
    _print(settings, document, as_json=as_json)


@app.command()
def release(
    reason: options.Reason,
    policy: PolicyOption = None,
    everything: Annotated[
        bool, typer.Option("--everything", help="Release every brake that is pulled.")
    ] = False,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Let go on what a brake stopped."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    with context.control(settings) as database:
        braking.release(database, policy, person, everything=everything)
        if settings.redis_url is not None:
            by_hand.ring(settings, database, output.say)
        document = _document(settings, database)
    _print(settings, document, as_json=as_json)


@app.command()
def show(as_json: options.Json = False) -> None:
    """Which brakes are pulled, by whom and why, what stops and what goes on."""
    settings = context.load_settings()
    with context.control(settings) as database:
        document = _document(settings, database)
    _print(settings, document, as_json=as_json)


def _document(settings: Settings, database: Database) -> dict[str, Any]:
    return documents.shown(database, partial(context.load_policies, settings), output.say)


def _print(settings: Settings, document: dict[str, Any], *, as_json: bool) -> None:
    if as_json:
        output.print_json(document)
        return
    out = output.console()
    brakes = document["brakes"]
    heading(out, settings.env, "the brake is pulled" if brakes else "no brake is pulled")
    for each in brakes:
        facts(out, _facts(each))
    if brakes:
        rows = [("stops", name) for name in document["policies"]["stopped"]]
        rows += [("goes on", name) for name in document["policies"]["goes_on"]]
        rows += [("stops", _line(run)) for run in document["runs"]["stopped"]]
        rows += [("goes on", _line(run)) for run in document["runs"]["goes_on"]]
        facts(out, rows)


def _facts(brake: dict[str, Any]) -> list[tuple[str, str | None]]:
    everyone = "every policy" if brake["everything"] else "every policy but the security jobs"
    return [
        ("for", brake["policy"] or everyone),
        ("who", brake["actor"]),
        ("reason", brake["reason"]),
        ("since", moment(brake["since"])),
    ]


def _line(run: dict[str, Any]) -> str:
    why = f": {run['why']}" if run["why"] else ""
    return f"{run['id']} of {run['policy']}, {run['state']}{why}"
