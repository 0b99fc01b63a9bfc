"""`tend lockout`: What is locked and blocked, why, and what a person can do about it."""

from typing import Annotated

import typer

from jobs.host import Host
from jobs.login_lockout import asking, by_hand, replaying, reporting

Json = Annotated[bool, typer.Option("--json", help="Print one JSON document instead.")]
Reason = Annotated[str, typer.Option("--reason", help="Why, for those who read the audit.")]
OnBehalfOf = Annotated[
    str | None, typer.Option("--on-behalf-of", help="For whom, in addition to who you are.")
]
Subject = Annotated[str, typer.Argument(metavar="USER", help="A user, or an address.")]
For = Annotated[str, typer.Option("--for", help="How long, such as 24h.")]


def app(host: Host) -> typer.Typer:
    """The commands, on what the command line lends them."""
    commands = typer.Typer(add_completion=False)

    @commands.command("list")
    def list_(
        every: Annotated[
            bool, typer.Option("--all", help="Also what was lifted, and alerts.")
        ] = False,
        as_json: Json = False,
    ) -> None:
        """What is locked and blocked now, until when and why."""
        with host.looking() as desk:
            asking.listed(host, desk, every=every, as_json=as_json)

    @commands.command()
    def explain(subject: Subject, as_json: Json = False) -> None:
        """Every decision about a user or an address, and each event that it rests on."""
        with host.looking() as desk:
            asking.explained(host, desk, subject, as_json=as_json)

    @commands.command()
    def replay(
        policy: Annotated[str, typer.Option("--policy", help="A policy's name, or a file.")],
        begin: Annotated[str, typer.Option("--from", help="From when, such as 2026-11-01.")],
        end: Annotated[str, typer.Option("--to", help="Until when.")],
        as_json: Json = False,
    ) -> None:
        """What this policy would have done on the site's own history; writes nothing."""
        with host.looking() as desk:
            replaying.replay(host, desk, policy, (begin, end), as_json=as_json)

    @commands.command()
    def report(
        begin: Annotated[str, typer.Option("--from", help="From when, such as 2026-11-01.")],
        end: Annotated[str, typer.Option("--to", help="Until when.")],
        as_json: Json = False,
    ) -> None:
        """The locks of a period in numbers, and those that PCI DSS 8.3.4 asks about."""
        with host.looking() as desk:
            reporting.report(host, desk, (begin, end), as_json=as_json)

    @commands.command()
    def release(
        subject: Subject,
        reason: Reason,
        with_addresses: Annotated[
            bool, typer.Option("--with-addresses", help="Also the blocks that the user caused.")
        ] = False,
        on_behalf_of: OnBehalfOf = None,
        as_json: Json = False,
    ) -> None:
        """Free a user or an address now; failures until now count no more."""
        with host.changing(reason, on_behalf_of) as desk:
            by_hand.release(host, desk, subject, with_addresses=with_addresses, as_json=as_json)

    @commands.command()
    def lock(
        user: Annotated[str, typer.Argument(metavar="USER", help="A user.")],
        reason: Reason,
        length: For = by_hand.LOCKED,
        on_behalf_of: OnBehalfOf = None,
        as_json: Json = False,
    ) -> None:
        """Lock an account for a while."""
        with host.changing(reason, on_behalf_of) as desk:
            by_hand.lock(host, desk, user, length, as_json=as_json)

    @commands.command()
    def block(
        address: Annotated[str, typer.Argument(metavar="ADDRESS", help="An address.")],
        reason: Reason,
        length: For = by_hand.BLOCKED,
        on_behalf_of: OnBehalfOf = None,
        as_json: Json = False,
    ) -> None:
        """Block an address for a while."""
        with host.changing(reason, on_behalf_of) as desk:
            by_hand.block(host, desk, address, length, as_json=as_json)

    @commands.command()
    def allow(
        network: Annotated[str, typer.Argument(metavar="CIDR", help="An address or a network.")],
        reason: Reason,
        length: For = by_hand.ALLOWED,
        on_behalf_of: OnBehalfOf = None,
        as_json: Json = False,
    ) -> None:
        """Let no address of a network be blocked for a while."""
        with host.changing(reason, on_behalf_of) as desk:
            by_hand.allow(host, desk, network, length, as_json=as_json)

    return commands
