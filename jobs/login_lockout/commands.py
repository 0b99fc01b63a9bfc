"""`tend lockout`: What is locked and blocked, why, and what a person can do about it."""

from typing import Annotated, Any

import typer

from jobs.host import Desk, Host
from jobs.login_lockout import records
from jobs.login_lockout.records import Kept

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]


def app(host: Host) -> typer.Typer:
    """The commands, on what the command line lends them."""
    commands = typer.Typer(add_completion=False)
    commands.callback()(_several)

    @commands.command("list")
    def list_(
        every: Annotated[
            bool, typer.Option("--all", help="Also what was lifted, and alerts.")
        ] = False,
        as_json: Json = False,
    ) -> None:
        """What is locked and blocked now, until when and why."""
        with host.looking() as desk:
            _print_list(host, desk, every=every, as_json=as_json)

    return commands


def _several() -> None:
    """What is locked and blocked, why, and what a person can do about it."""


def _print_list(host: Host, desk: Desk, *, every: bool, as_json: bool) -> None:
    with desk.context.state.transaction() as session:
        found = records.decisions(session, desk.context.vault, standing=not every)
    if as_json:
        host.print_json({"decisions": [each.as_json() for each in found]})
        return
    host.heading(desk.environment, f"{len(found)} decisions" if every else f"{len(found)} standing")
    names = ("id", "kind", "user", "address", "at", "until", "attempts", "why", "state")
    host.table(names, [_row(each) for each in found])


def _row(kept: Kept) -> tuple[str, ...]:
    document: dict[str, Any] = kept.as_json()
    names = ("id", "kind", "user", "address", "at", "until", "attempts", "why", "state")
    return tuple("" if document[name] is None else str(document[name]) for name in names)
