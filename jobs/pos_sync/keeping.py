"""A store's credentials: sealed in the control database, refreshed by one worker at a time."""

import time
from datetime import timedelta
from typing import Any, NamedTuple, cast

from sqlalchemy import or_, update

from jobs.pos_sync.connectors.base import Connector
from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.tables import PosStore
from jobs.pos_sync.tools import Tools
from jobs.pos_sync.transport import Http

REFRESH_LEASE = timedelta(seconds=60)
FRESH = timedelta(minutes=1)
"""A token that ends sooner is refreshed before it is used."""
_LOOK_SECONDS = 0.2


class Held(NamedTuple):
    """Credentials and the version of the row they were read from."""

    credentials: Credentials
    version: int


def held(tools: Tools, store: str) -> Held:
    """What opens the store; raises `NO_CREDENTIALS`."""
    with tools.state.transaction() as session:
        row = session.get_one(PosStore, store)
        sealed, version = row.credentials, row.credentials_version
    if sealed is None:
        raise SyncFailed(Kind.NO_CREDENTIALS, f"store {store}")
    return Held(Credentials.model_validate_json(tools.vault.open(sealed, store)), version)


def keep(tools: Tools, store: str, fresh: Credentials, dies: Any) -> None:
    """Seal these in the place of whatever was there."""
    sealed = tools.vault.seal(fresh.model_dump_json().encode(), store)
    with tools.state.transaction() as session:
        row = session.get_one(PosStore, store)
        row.credentials, row.dies_at, row.refreshing_until = sealed, dies, None
        row.credentials_version += 1


def needs_refresh(tools: Tools, found: Credentials) -> bool:
    if found.refresh_token is None:
        return False
    ends = found.access_expires
    return found.access_token is None or (ends is not None and ends - FRESH <= tools.clock())


def refreshed(tools: Tools, store: str, connector: Connector, old: Held, http: Http) -> Held:
    """New tokens for `old`: of all workers that ask at once, one gets them for all."""
    end = time.monotonic() + REFRESH_LEASE.total_seconds() * 2
    while not _taken(tools, store, old.version):
        now = held(tools, store)
        if now.version != old.version:
            return now
        if time.monotonic() > end:
            raise SyncFailed(Kind.TIMEOUT, f"store {store}", "another worker's token refresh")
        time.sleep(_LOOK_SECONDS)
    try:
        fresh = connector.refresh(http, old.credentials, tools.clock())
    except SyncFailed:
        _give_back(tools, store, old.version)
        raise
    keep(tools, store, fresh, dies_at(connector, fresh))
    return Held(fresh, old.version + 1)


def dies_at(connector: Connector, found: Credentials) -> Any:
    """When its authentication ends: the credentials, or the version of the provider's API."""
    ends = [moment for moment in (found.dies, connector.api_dies) if moment is not None]
    return min(ends, default=None)


def _taken(tools: Tools, store: str, version: int) -> bool:
    """A lease, by compare-and-set: a worker that is killed holds the others up for a minute."""
    now = tools.clock()
    is_free = or_(PosStore.refreshing_until.is_(None), PosStore.refreshing_until < now)
    taken = (
        update(PosStore)
        .where(PosStore.key == store, PosStore.credentials_version == version, is_free)
        .values(refreshing_until=now + REFRESH_LEASE)
    )
    with tools.state.transaction() as session:
        return bool(cast(Any, session.execute(taken)).rowcount)


def _give_back(tools: Tools, store: str, version: int) -> None:
    free = (
        update(PosStore)
        .where(PosStore.key == store, PosStore.credentials_version == version)
        .values(refreshing_until=None)
    )
    with tools.state.transaction() as session:
        session.execute(free)
