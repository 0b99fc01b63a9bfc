"""What Prometheus is told of stores."""

from collections.abc import Iterator

import redis
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from jobs.pos_sync.breaker import STATES, Breaker
from jobs.pos_sync.condition import Condition
from jobs.pos_sync.failures import SyncFailed
from jobs.pos_sync.tables import PosStore
from jobs.task import Measurement

STORES = "tend_stores"
SAYS = "Stores by how they are; a store's breaker is what its condition follows."
BREAKERS = "tend_store_breakers"
BREAKERS_SAY = "Breakers of stores by their state in Redis; half_open ones let one probe pass."


def measure(session: Session) -> Iterator[Measurement]:
    """Each provider with each condition, so that none goes silent when it is 0."""
    by = (PosStore.provider, PosStore.condition)
    query = select(*by, func.count()).group_by(*by)
    found = {(provider, state): count for provider, state, count in session.execute(query)}
    for provider in sorted({provider for provider, _ in found}):
        for condition in Condition:
            labels = {"provider": provider, "condition": str(condition)}
            yield Measurement(STORES, SAYS, found.get((provider, condition), 0), labels)


def ask(client: "redis.Redis") -> Iterator[Measurement]:
    """Each state, so that none goes silent when it is 0; nothing while Redis does not answer."""
    try:
        found = Breaker(client).states()
    except SyncFailed:
        return
    for state in sorted(set(STATES.values())):
        yield Measurement(BREAKERS, BREAKERS_SAY, found[state], {"state": state})
