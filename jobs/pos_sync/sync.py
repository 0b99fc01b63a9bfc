"""One sync of one store: its pages into the catalogue, and what is gone out of it at the end."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.pos_sync.connectors.base import Connector
from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.passes import Catalog, Keeper, PageOf_contra, Pass, moment_of, moment_text
from jobs.pos_sync.sales import Orders, Sales
from jobs.pos_sync.transport import Http

OVERLAP = timedelta(minutes=5)
"""Providers write down a change a little after its moment; what comes twice changes nothing."""


@dataclass(frozen=True)
class Synced:
    """What a sync that reached its end did."""

    data_as_of: str
    pages: int
    records: int
    drifted: int
    deleted: int
    kept: int
    sales: int = 0
    """Lines of orders."""


@dataclass(frozen=True)
class Order:
    """What is to be synced, and how."""

    store: str
    now: datetime
    whole_every: timedelta
    """So often the whole catalogue is read: only then is seen what is missing."""
    sales_back: timedelta = timedelta(days=60)
    """How far back the first look at its orders goes."""
    approved: str | None = None
    """The digest of the deletions that a person approved."""


def sync(
    catalog: Catalog, connector: Connector, http: Http, held: Credentials, order: Order
) -> Synced:
    """Go on with the pass that was interrupted, or begin one; raises `SyncFailed`."""
    at = catalog.standing(order.store)
    is_waiting = at is not None and at.exhausted and not at.done
    if at is None or at.done or (is_waiting and order.approved is None):
        at = catalog.begin(order.store, next_pass(at, order))
    since = None if at.since is None else moment_of(at.since)
    at = _walk(catalog, order.store, at, lambda cursor: connector.page(http, held, cursor, since))
    finished = catalog.finish(order.store, at, order.approved)
    return Synced(at.begun_at, at.pages, at.records, at.drifted, finished.deleted, finished.kept)


def sync_sales(sales: Sales, orders: Orders, http: Http, held: Credentials, order: Order) -> int:
    """Read the orders that changed since the last time; returns how many lines that were."""
    at = sales.standing(order.store)
    if at is None or at.exhausted or at.done:
        at = sales.begin(order.store, next_sales_pass(at, order))
    since = moment_of(at.since or at.begun_at)
    at = _walk(sales, order.store, at, lambda cursor: orders.page(http, held, cursor, since))
    sales.finish(order.store, at)
    return at.records


def _walk(
    keeper: Keeper[PageOf_contra], store: str, at: Pass, ask: Callable[[str | None], PageOf_contra]
) -> Pass:
    """Page by page to the end; a cursor that expired begins the walk again."""
    while not at.exhausted:
        try:
            page = ask(at.cursor)
        except SyncFailed as failed:
            if failed.kind is not Kind.CURSOR_EXPIRED:
                raise
            at = keeper.restart(store, at)
            continue
        at = keeper.write(store, at, page)
    at.check_drift()
    return at


def next_sales_pass(last: Pass | None, order: Order) -> Pass:
    """From the newest order that was read; after too much drift, from where the last one began."""
    begun_at = moment_text(order.now)
    if last is None:
        return Pass(1, moment_text(order.now - order.sales_back), None, begun_at)
    since = last.since
    if last.done and last.newest is not None:
        since = moment_text(moment_of(last.newest) - OVERLAP)
    return Pass(last.number + 1, since, None, begun_at, newest=last.newest)


def next_pass(last: Pass | None, order: Order) -> Pass:
    """The whole catalogue the first time and each `whole_every`, else what changed since."""
    begun_at = moment_text(order.now)
    if last is None:
        return Pass(1, None, None, begun_at)
    since = None
    read_whole = last.whole_at is not None and (
        order.now - moment_of(last.whole_at) < order.whole_every
    )
    if read_whole and last.newest is not None:
        since = moment_text(moment_of(last.newest) - OVERLAP)
    return Pass(
        last.number + 1,
        since,
        None,
        begun_at,
        newest=last.newest,
        complete_at=last.complete_at,
        whole_at=last.whole_at,
    )
