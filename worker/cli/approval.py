"""`tend approve`, `reject` and `override`: what another person than the asking one decides."""

from typing import Annotated

import typer

from worker import approval, present
from worker import runs as store
from worker.cli import context, endings, options, output
from worker.cli.changes import desk_of
from worker.cli.runs import show_run
from worker.database import Database
from worker.documents import runs as documents


def approve(
    run: options.RunId,
    reason: options.Reason,
    wait: options.Wait = False,
    inline: options.Inline = False,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Let a plan that waits for another person go on exactly as it was frozen."""
    person = context.person(reason, on_behalf_of)
    with desk_of(person, inline=inline, wait=wait, as_json=as_json) as desk:
        run_id = store.parse_id(run)
        today = documents.todays_policy(context.load_policies(desk.settings), desk.database, run_id)
        approval.approve(desk.database, run_id, today, person, inline=inline)
        desk.go_on(run_id)
        desk.finish(run_id)


def reject(
    run: options.RunId,
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """End a plan that waits for another person; nothing was changed."""
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    run_id = store.parse_id(run)
    with context.control(settings) as database:
        approval.reject(database, run_id, person)
        _show(database, run_id, as_json=as_json)


def override(
    run: options.RunId,
    guard: Annotated[str, typer.Option("--guard", help="The guard that refused the plan.")],
    reason: options.Reason,
    on_behalf_of: options.OnBehalfOf = None,
    as_json: options.Json = False,
) -> None:
    """Ask another person to approve this very plan although a guard refused it.

    Exits 4 once the run waits for approval, and 3 while another guard still refuses it.
    """
    person = context.person(reason, on_behalf_of)
    settings = context.load_settings()
    run_id = store.parse_id(run)
    with context.control(settings) as database:
        today = documents.todays_policy(context.load_policies(settings), database, run_id)
        approval.override(database, run_id, guard, today, person)
        endings.finish(_show(database, run_id, as_json=as_json))


def _show(database: Database, run_id: int, *, as_json: bool) -> present.Document:
    document = documents.one(database, run_id)
    if as_json:
        output.print_json(document)
    else:
        show_run(output.console(), document)
    return document
