"""`pos_sync`: the stores whose time has come are synced, or brought back."""

import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextvars import copy_context
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar, cast

from jobs.base import Item, Outcomes
from jobs.pos_sync import announcing, products_unique, register
from jobs.pos_sync.attempt import Ended, attend, tell
from jobs.pos_sync.catalog_mongo import MongoCatalog
from jobs.pos_sync.catalog_sql import SqlCatalog
from jobs.pos_sync.failures import SyncFailed
from jobs.pos_sync.options import PosOptions
from jobs.pos_sync.passes import Catalog
from jobs.pos_sync.sales_mongo import MongoSales
from jobs.pos_sync.stores import Store, mongo_stores, sql_stores
from jobs.pos_sync.tables import PosStore
from jobs.pos_sync.tools import Tools, clock_of
from jobs.task import CheckContext, PerformContext, TaskContext
from policies.models import Policy, PolicyOptions

AT_ONCE = 16
"""A whole batch: most of a sync is waiting for a provider, and one that hangs holds up no other."""
REST_SECONDS = 1.0
_resting = threading.Lock()


class PosSync:
    """An item is a store. A store that fails is no failure of the run: its row says how it is."""

    name: ClassVar[str] = "pos_sync"
    Options: ClassVar[type[PolicyOptions]] = PosOptions
    security: ClassVar[bool] = False
    mirror_action: ClassVar[str] = "pos_sync"
    mirror_count: ClassVar[str] = "syncedCount"

    def check(self, ctx: CheckContext, policy: Policy) -> None:
        """Raise unless the applications' `stores` can be read, and their `products` be written."""
        products_unique.check(ctx, declared(ctx, cast(PosOptions, policy.options)))

    def questions(self, ctx: CheckContext, policy: Policy) -> Iterator[str]:  # noqa: ARG002 - it has none
        return iter(())

    def plan(self, ctx: TaskContext, policy: Policy) -> Iterator[Item]:
        options = cast(PosOptions, policy.options)
        stores = list(declared(ctx, options))
        with ctx.state.transaction() as session:
            register.register(session, stores)
            session.flush()
            due = register.due(session, ctx.as_of, failed=options.mode == "recovery")
            known = {store.key for store in stores}
            items = [_item(row) for row in due if row.key in known]
        yield from items

    def perform(self, ctx: PerformContext, policy: Policy, items: Sequence[Item]) -> Outcomes:
        options = cast(PosOptions, policy.options)
        tools = replace(tools_of(ctx, options), **manners(options))
        for catalog in tools.catalogs.values():
            catalog.prepare()
        outcomes = perform_all(tools, [item.key for item in items], ctx.as_of)
        announcing.announce(tools.state, ctx.as_of)
        return outcomes


def manners(options: PosOptions) -> Mapping[str, Any]:
    """How the stores that are well are kept from waiting for those that are not.

    At its time a store is asked once; to wait and to ask again is for the recovery. There, of the
    attempts that failed, one in a second makes room for another.
    """
    if options.mode == "scheduled":
        return {"is_patient": False}
    return {"rest": _rest}


def _rest() -> None:
    with _resting:
        time.sleep(REST_SECONDS)


def perform_all(tools: Tools, stores: Sequence[str], as_of: datetime) -> Outcomes:
    """A batch of stores at once."""
    with ThreadPoolExecutor(AT_ONCE, "pos-sync") as pool:
        # Each thread gets a context of its own, so that its log lines name run and policy.
        contexts = [copy_context() for _ in stores]
        each = pool.map(
            lambda own, store: own.run(perform_one, tools, store, as_of), contexts, stores
        )
        return sum(each, start=Outcomes())


def perform_one(tools: Tools, store: str, as_of: datetime) -> Outcomes:
    """One store; it counts as changed if it was synced, told of, or is in another condition now."""
    with tools.state.transaction() as session:
        row = session.get_one(PosStore, store)
        before, untold, is_due = row.condition, row.untold, register.is_due(row, as_of)
    if untold:
        tell(tools, store)
    if not is_due:
        return Outcomes(changed=1) if untold else Outcomes(changed_since=1)
    try:
        result = attend(tools, store)
    except SyncFailed:  # Redis is gone: nothing was tried, and nothing is known of the store
        return Outcomes(failed=1)
    if result.ended is Ended.WAITS:
        return Outcomes(changed_since=1)
    if result.ended is Ended.FAILED:
        tools.rest()
    with tools.state.transaction() as session:
        after = session.get_one(PosStore, store).condition
    is_changed = result.ended is Ended.SYNCED or after != before
    return Outcomes(changed=1) if is_changed else Outcomes(failed=1)


def declared(ctx: CheckContext, options: PosOptions) -> Iterator[Store]:
    """The stores that the applications declare."""
    if "sql" in options.stores_in:
        with ctx.sql() as connection:
            yield from sql_stores(connection)
    if "mongo" in options.stores_in:
        yield from mongo_stores(ctx.documents)


def tools_of(ctx: PerformContext, options: PosOptions) -> Tools:
    """What attempts work with, under this policy."""
    catalogs: dict[str, Catalog] = {}
    if "sql" in options.stores_in:
        catalogs["sql"] = SqlCatalog(ctx.sql)
    if "mongo" in options.stores_in:
        catalogs["mongo"] = MongoCatalog(ctx.mongo)
    return Tools(
        state=ctx.state,
        vault=ctx.vault,
        client=ctx.redis,
        catalogs=catalogs,
        sales={"mongo": MongoSales(ctx.mongo)} if "mongo" in options.stores_in else {},
        clock=clock_of(ctx.redis),
        whole_every=options.whole_every.delta,
        sales_back=options.sales_back.delta,
        private=frozenset(options.private_hosts),
        total_seconds=options.answer_within.delta.total_seconds(),
    )


def _item(row: PosStore) -> Item:
    shown = {"store": row.name, "provider": row.provider, "condition": row.condition}
    return Item(row.key, {**shown, "error": row.error})
