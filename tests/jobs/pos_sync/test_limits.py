"""The limits that all workers share."""

import time

import pytest
import redis

from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.limits import Limits, Pace
from tests.jobs.pos_sync.workers import EVERY_20_MS, ask, context


@pytest.mark.system
@pytest.mark.timeout(600)
def test_eight_processes_together_keep_the_limit(redis_url: str) -> None:
    """The first turn came after the first beginning, and a turn is noted late, never early."""
    processes = context()
    ready = processes.Barrier(8)
    workers = [processes.Process(target=ask, args=(redis_url, ready, 5)) for _ in range(8)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(400)
    with redis.Redis.from_url(redis_url) as client:
        began, turns = ([int(at) for at in client.lrange(key, 0, -1)] for key in ("began", "turns"))
    assert [worker.exitcode for worker in workers] == [0] * 8
    assert len(turns) == 40
    assert max(turns) - min(began) >= 39 * 20_000


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
    began = time.monotonic()
    limits.pause("shop", 0.2)
    limits.take("shop", EVERY_20_MS, 60)
    assert time.monotonic() - began >= 0.15
