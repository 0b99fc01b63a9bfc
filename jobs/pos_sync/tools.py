"""What an attempt works with, out of what the engine lends."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any, cast

import redis
from redis.exceptions import RedisError

from jobs.pos_sync.breaker import Breaker
from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.limits import Limits
from jobs.pos_sync.passes import Catalog
from jobs.pos_sync.sales import Sales
from jobs.task import State, Vault


@dataclass(frozen=True)
class Tools:
    """State, secrets, limits and catalogues; one for all stores of a batch."""

    state: State
    vault: Vault
    client: "redis.Redis"
    catalogs: Mapping[str, Catalog]
    """By the kind of target with which a store's key begins."""
    clock: Callable[[], datetime]
    sales: Mapping[str, Sales] = field(default_factory=dict)
    """By the same; a target that keeps none is not there."""
    whole_every: timedelta = timedelta(days=1)
    sales_back: timedelta = timedelta(days=60)
    private: frozenset[str] = frozenset()
    total_seconds: float = 30.0
    is_patient: bool = True
    """Whether a request is tried again in place; if not, a store that fails is handed over."""
    rest: Callable[[], None] = lambda: None
    """Called after each attempt that failed, before its place is given to another store."""

    @cached_property
    def breaker(self) -> Breaker:
        return Breaker(self.client)

    @cached_property
    def limits(self) -> Limits:
        return Limits(self.client)

    def catalog_of(self, store: str) -> Catalog:
        return self.catalogs[store.partition("/")[0]]

    def sales_of(self, store: str) -> Sales | None:
        return self.sales.get(store.partition("/")[0])


def clock_of(client: "redis.Redis") -> Callable[[], datetime]:
    """The time that all workers share: that of Redis, by which the breakers go, too."""

    def now() -> datetime:
        try:
            seconds, microseconds = cast(tuple[int, int], cast(Any, client).time())
        except RedisError as error:
            raise SyncFailed(Kind.LIMIT_UNKNOWN, "the clock") from error
        return datetime.fromtimestamp(seconds, UTC) + timedelta(microseconds=microseconds)

    return now
