"""The limits that all workers share."""

import multiprocessing
import time
from itertools import pairwise

import pytest
import redis

from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.limits import Limits, Pace

EVERY_20_MS = Pace(50, 1)


def _ask(url: str, times: int) -> None:
    """A worker: each turn it gets goes into a list with the server's time."""
    client: redis.Redis = redis.Redis.from_url(url)
    limits = Limits(client)
    mark = client.register_script(
        "local t = redis.call('TIME') redis.call('RPUSH', 'turns', t[1] * 1000000 + t[2])"
    )
    for _ in range(times):
        limits.take("shop", EVERY_20_MS, 60)
        mark()
    client.close()


def test_eight_processes_together_keep_the_limit(redis_url: str) -> None:
    """A slow worker marks its turn late, never early: so it is counted over the whole."""
    context = multiprocessing.get_context("spawn")
    workers = [context.Process(target=_ask, args=(redis_url, 5)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    with redis.Redis.from_url(redis_url) as client:
        turns = sorted(int(turn) for turn in client.lrange("turns", 0, -1))
    assert len(turns) == 40
    assert turns[-1] - turns[0] >= 38 * 20_000
    assert all(worker.exitcode == 0 for worker in workers)
    assert all(later >= earlier for earlier, later in pairwise(turns))


def test_one_account_does_not_wait_for_another(limits: Limits) -> None:
    hourly = Pace(1, 3600)
    limits.take("one", hourly, 1)
    limits.take("other", hourly, 1)
    with pytest.raises(SyncFailed) as caught:
        limits.take("one", hourly, 1)
    assert caught.value.kind == Kind.THROTTLED
    assert caught.value.wait is not None
    assert caught.value.wait > 3000


def test_a_pause_is_only_made_longer(limits: Limits) -> None:
    limits.pause("shop", 3000)
    limits.pause("shop", 1)
    with pytest.raises(SyncFailed) as caught:
        limits.take("shop", EVERY_20_MS, 10)
    assert caught.value.wait is not None
    assert caught.value.wait > 2000


def test_a_short_pause_is_waited_for(limits: Limits) -> None:
    limits.pause("shop", 0.2)
    began = time.monotonic()
    limits.take("shop", EVERY_20_MS, 60)
    assert time.monotonic() - began >= 0.15
