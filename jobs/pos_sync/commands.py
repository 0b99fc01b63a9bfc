"""`tend pos`: How the stores' syncs are, why, and what a person can do about it."""

import getpass
import sys
from datetime import date
from typing import Annotated

import typer

from jobs.host import Host
from jobs.pos_sync import by_hand
from jobs.pos_sync.connectors import CONNECTORS
from jobs.pos_sync.credentials import credentials_of
from jobs.pos_sync.failures import SyncFailed
from jobs.pos_sync.look import Look, look
from jobs.pos_sync.steps import steps_for

Name = Annotated[str, typer.Argument(metavar="STORE", help="An id such as sql/7, or a name.")]
Reason = Annotated[str, typer.Option("--reason", help="Why; it is audited.")]
Behalf = Annotated[str | None, typer.Option("--on-behalf-of", help="Who wants it.")]
Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
Diff = Annotated[
    str | None, typer.Option("--approve", metavar="DIFF", help="Delete what this diff says.")
]
Day = Annotated[str, typer.Option("--until", metavar="DAY", help="Such as 2026-12-31, in UTC.")]


def app(host: Host) -> typer.Typer:
    """The commands, on what the command line lends them."""
    commands = typer.Typer(add_completion=False, no_args_is_help=True)
    _add_looks(commands, host)
    _add_changes(commands, host)
    commands.add_typer(_credentials(host), name="credentials")
    return commands


def _add_looks(commands: typer.Typer, host: Host) -> None:
    @commands.command()
    def status(as_json: Json = False) -> None:
        """How every store is: cause, age of its data, breaker, next attempt, end of its login."""
        with host.looking() as desk:
            found = look(by_hand.tools_at(host, desk), desk.context.as_of)
            if as_json:
                host.print_json({"stores": [one.as_json() for one in found]})
                return
            host.heading(desk.environment, f"{len(found)} stores")
            host.table(Look.NAMES, [one.as_row() for one in found])

    @commands.command()
    def steps(store: Name, as_json: Json = False) -> None:
        """Print the text to send to the shop: what somebody there has to do."""
        with host.looking() as desk:
            row = by_hand.the_store(host, by_hand.tools_at(host, desk), store)
        text = steps_for(row)
        if as_json:
            host.print_json({"store": row.key, "text": text})
        else:
            typer.echo(text)


def _add_changes(commands: typer.Typer, host: Host) -> None:
    @commands.command()
    def check(
        store: Name, reason: Reason, on_behalf_of: Behalf = None, as_json: Json = False
    ) -> None:
        """Check again: credentials and connection, and a sync if both are good."""
        with by_hand.changing(host, store, reason, on_behalf_of, as_json=as_json) as case:
            by_hand.check_and_sync(case)

    @commands.command()
    def sync(
        store: Name,
        reason: Reason,
        approve: Diff = None,
        on_behalf_of: Behalf = None,
        as_json: Json = False,
    ) -> None:
        """Sync one store now."""
        with by_hand.changing(host, store, reason, on_behalf_of, as_json=as_json) as case:
            by_hand.sync(case, approve)

    @commands.command()
    def mute(
        store: Name, until: Day, reason: Reason, on_behalf_of: Behalf = None, as_json: Json = False
    ) -> None:
        """Tell nobody of this store's failures until a day."""
        try:
            day = date.fromisoformat(until)
        except ValueError:
            raise host.refuse(f"'{until}' is no day such as 2026-12-31.") from None
        with by_hand.changing(host, store, reason, on_behalf_of, as_json=as_json) as case:
            by_hand.mute(case, day)


def _credentials(host: Host) -> typer.Typer:
    commands = typer.Typer(no_args_is_help=True, help="What opens a store.")

    @commands.callback()
    def group() -> None:
        """What opens a store."""

    @commands.command("set")
    def set_(
        store: Name, reason: Reason, on_behalf_of: Behalf = None, as_json: Json = False
    ) -> None:
        """Read a JSON object from a hidden prompt or standard input; then check and sync."""
        with by_hand.changing(host, store, reason, on_behalf_of, as_json=as_json) as case:
            needs = CONNECTORS[case.row.provider].needs
            try:
                held = credentials_of(_secret(needs), needs)
            except SyncFailed as failed:
                raise host.refuse(f"The credentials are {failed.detail}.") from None
            by_hand.set_credentials(case, held)

    return commands


def _secret(needs: tuple[str, ...]) -> str:
    """Never an argument: those stand in the shell's history and in the list of processes."""
    if not sys.stdin.isatty():
        return sys.stdin.read()
    return getpass.getpass(f"Credentials, a JSON object with {', '.join(needs)}: ")
