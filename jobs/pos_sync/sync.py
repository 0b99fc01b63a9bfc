"""One sync of one store: its pages into the catalogue, and what is gone out of it at the end."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from jobs.pos_sync.connectors.base import Connector
from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.passes import Catalog, Pass, moment_of, moment_text
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


@dataclass(frozen=True)
class Order:
    """What is to be synced, and how."""

    store: str
    now: datetime
    whole_every: timedelta
    """So often the whole catalogue is read: only then is seen what is missing."""
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
    while not at.exhausted:
        since = None if at.since is None else moment_of(at.since)
        try:
            page = connector.page(http, held, at.cursor, since)
        except SyncFailed as failed:
            if failed.kind is not Kind.CURSOR_EXPIRED:
                raise
            at = catalog.restart(order.store, at)
            continue
        at = catalog.write(order.store, at, page)
    at.check_drift()
    finished = catalog.finish(order.store, at, order.approved)
    return Synced(at.begun_at, at.pages, at.records, at.drifted, finished.deleted, finished.kept)


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
