"""What a person does to one store, once it is found: the bodies of `tend pos`."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime, time
from typing import Any, NamedTuple, cast

import typer
from sqlalchemy import select

from jobs.host import Desk, Host
from jobs.pos_sync import announcing, keeping, products_unique, register
from jobs.pos_sync.attempt import Ended, attend, check
from jobs.pos_sync.connectors import CONNECTORS
from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.failures import Kind
from jobs.pos_sync.options import PosOptions
from jobs.pos_sync.syncing import declared, tools_of
from jobs.pos_sync.tables import PosStore
from jobs.pos_sync.tools import Tools

SHOWN = 20
"""Products that a sentence names."""


class Case(NamedTuple):
    """One store in somebody's hands."""

    host: Host
    desk: Desk
    tools: Tools
    row: PosStore
    as_json: bool

    def say(self, sentence: str, **facts: Any) -> None:
        if self.as_json:
            self.host.print_json({"store": self.row.key, **facts})
        else:
            typer.echo(sentence)

    def record(self, action: str, outcome: str) -> None:
        detail = {"store": self.row.key, "outcome": str(outcome)}
        with self.tools.state.transaction() as session:
            self.desk.record(session, action, "pos-sync", detail)


@contextmanager
def changing(
    host: Host, name: str, reason: str, on_behalf_of: str | None, *, as_json: bool
) -> Iterator[Case]:
    """The store of this id or name, for a command that changes something."""
    with host.changing(reason, on_behalf_of) as desk:
        tools = tools_at(host, desk)
        stores = list(declared(desk.context, options_at(host, desk)))
        products_unique.check(desk.context, stores)
        with tools.state.transaction() as session:
            register.register(session, stores)
        for catalog in tools.catalogs.values():
            catalog.prepare()
        yield Case(host, desk, tools, the_store(host, tools, name), as_json)


def sync(case: Case, approved: str | None) -> None:
    """Sync it now; exits 1 if that does not reach its end."""
    result = attend(case.tools, case.row.key, approved=approved)
    announcing.announce(case.tools.state, case.desk.context.as_of)
    kind = result.failed.kind if result.failed else None
    case.record("pos_sync_by_hand", kind or result.ended)
    key = case.row.key
    if result.synced is not None:
        done = result.synced
        sold = f", {done.sales} lines of orders" if done.sales else ""
        sentence = f"{key} is synced: {done.records} records, {done.deleted} deleted{sold}."
        counts = {"records": done.records, "deleted": done.deleted, "sales": done.sales}
        facts = {**counts, "drifted": done.drifted}
        case.say(sentence, ended=result.ended, error=None, **facts)
        return
    if result.ended is Ended.WAITS:
        case.say(f"{key} waits: its breaker is open, or a worker is at it.", ended=result.ended)
    else:
        more, facts = _question(case) if kind is Kind.SHRUNK else ("", {})
        sentence = f"{key} is not synced: {result.failed}.{more}"
        case.say(sentence, ended=result.ended, error=kind, **facts)
    raise typer.Exit(1)


def check_and_sync(case: Case) -> None:
    """Ask small things first; exits 1 if they go wrong."""
    failed = check(case.tools, case.row.key)
    case.record("pos_check", failed.kind if failed else "ok")
    if failed is None:
        sync(case, None)
        return
    case.say(f"{case.row.key} does not work yet: {failed}.", ended="failed", error=failed.kind)
    raise typer.Exit(1)


def mute(case: Case, day: date) -> None:
    """Tell nobody of its failures until this day begins, in UTC."""
    end = datetime.combine(day, time(), UTC)
    with case.tools.state.transaction() as session:
        session.get_one(PosStore, case.row.key).muted_until = end
    case.record("pos_mute", end.isoformat())
    sentence = f"Nobody is told of {case.row.key} until {end:%Y-%m-%d}."
    case.say(sentence, muted_until=end.isoformat())


def set_credentials(case: Case, held: Credentials) -> None:
    """Seal them, and see whether they open the store."""
    connector = CONNECTORS[case.row.provider]
    keeping.keep(case.tools, case.row.key, held, keeping.dies_at(connector, held))
    case.record("pos_credentials_set", "set")
    check_and_sync(case)


def options_at(host: Host, desk: Desk) -> PosOptions:
    """Those of the policy whose schedule syncs the stores."""
    found = [cast(PosOptions, policy.options) for policy in desk.policies]
    scheduled = [options for options in found if options.mode == "scheduled"]
    if not scheduled:
        raise host.refuse("No policy syncs stores; add one of the job pos_sync.")
    return scheduled[0]


def tools_at(host: Host, desk: Desk) -> Tools:
    return tools_of(desk.context, options_at(host, desk))


def the_store(host: Host, tools: Tools, name: str) -> PosStore:
    """The one store of this id or name; what is ambiguous or unknown is refused."""
    with tools.state.transaction() as session:
        found = register.find(session, name)
        if len(found) == 1:
            session.expunge(found[0])
            return found[0]
        keys = ", ".join(row.key for row in found)
        every = session.scalars(select(PosStore.key).order_by(PosStore.key).limit(5)).all()
    if found:
        raise host.refuse(f"'{name}' is the name of {keys}; say which by its id.")
    raise host.refuse(f"No store is called '{name}'; there are {', '.join(every) or 'none'}.")


def _question(case: Case) -> tuple[str, dict[str, Any]]:
    """Which products would vanish, and how to approve just these; nothing if it is over."""
    catalog = case.tools.catalog_of(case.row.key)
    at = catalog.standing(case.row.key)
    if at is None:
        return "", {}
    vanishing = catalog.vanishing(case.row.key, at)
    ids = sorted(vanishing.external_ids)
    more = f" and {len(ids) - SHOWN:,} more (--json has all)" if len(ids) > SHOWN else ""
    sentence = f" It would delete {', '.join(ids[:SHOWN])}{more}."
    approving = f" To delete them, give --approve {vanishing.digest}."
    return sentence + approving, {"vanishing": ids, "diff": vanishing.digest}
