"""How often a store or a provider may be asked: shared by all workers, kept in Redis.

GCRA of throttled-py counts the requests: of its algorithms it is the one whose `retry_after` was
exact in every release. Waiting is done here, since throttled-py would wait for ever for what it
can never grant. A pause that a provider asks for holds every worker up.
"""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, NamedTuple, cast

import redis
from redis.exceptions import RedisError
from throttled import Throttled, rate_limiter, store

from jobs.pos_sync.failures import Kind, SyncFailed

PREFIX = "tend:pos:pace"
# A pause is only ever made longer.
_PAUSE = """
if redis.call('PTTL', KEYS[1]) < tonumber(ARGV[1]) then
  redis.call('SET', KEYS[1], '1', 'PX', ARGV[1])
end
"""


class Pace(NamedTuple):
    """So many requests in so many seconds, `burst` of them at once.

    Whole seconds: throttled-py cuts off the rest of a period.
    """

    requests: int
    seconds: int
    burst: int = 1


class Lane(NamedTuple):
    """Requests of one kind, for which a provider has a limit of its own."""

    name: str
    pace: Pace


BUDGET = Pace(60, 60, 60)
"""What all stores of a provider together may try again."""


class _Backend(store.RedisStoreBackend):
    """throttled-py makes a client of its own otherwise, with settings of its own."""

    client: Any

    def get_client(self) -> Any:
        return self.client


class _Store(store.RedisStore):
    _BACKEND_CLASS = _Backend

    def __init__(self, client: "redis.Redis") -> None:
        super().__init__()
        cast(_Backend, self._backend).client = client


class Limits:
    """The limits of all accounts; raises `LIMIT_UNKNOWN` while Redis does not answer."""

    def __init__(self, client: "redis.Redis", budget: Pace = BUDGET) -> None:
        self._client = client
        self._budget = budget
        self._pause = client.register_script(_PAUSE)
        self._store = _Store(client)
        self._limiters: dict[Pace, Throttled] = {}

    def take(self, account: str, pace: Pace, seconds_left: float) -> None:
        """Wait for the turn of one request; raises `THROTTLED` if that is later than is left."""
        end = time.monotonic() + seconds_left
        with _answering(account):
            while (wait := self._wait(account, pace)) > 0:
                if time.monotonic() + wait > end:
                    raise SyncFailed(Kind.THROTTLED, account, wait=wait)
                time.sleep(wait)

    def pause(self, account: str, seconds: float) -> None:
        """Nobody asks this account for so long."""
        with _answering(account):
            self._pause([f"tend:pos:pause:{account}"], [max(1, round(seconds * 1000))])

    def may_retry(self, provider: str) -> bool:
        """Whether the provider's budget for second attempts has one left."""
        with _answering(provider):
            return not self._limiter(self._budget).limit(f"retry:{provider}").limited

    def _wait(self, account: str, pace: Pace) -> float:
        paused = self._client.pttl(f"tend:pos:pause:{account}")
        if paused > 0:
            return paused / 1000
        result = self._limiter(pace).limit(account)
        return max(result.state.retry_after, 0.001) if result.limited else 0.0

    def _limiter(self, pace: Pace) -> Throttled:
        if pace not in self._limiters:
            quota = rate_limiter.per_duration(
                timedelta(seconds=pace.seconds), pace.requests, burst=pace.burst
            )
            self._limiters[pace] = Throttled(
                using="gcra", quota=quota, store=self._store, key_prefix=PREFIX
            )
        return self._limiters[pace]


@contextmanager
def _answering(account: str) -> Iterator[None]:
    try:
        yield
    except RedisError as error:
        raise SyncFailed(Kind.LIMIT_UNKNOWN, account) from error
