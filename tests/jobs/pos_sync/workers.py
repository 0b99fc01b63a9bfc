"""What worker processes of a test do; little else is imported here, so that many start quickly."""

from multiprocessing import get_context
from multiprocessing.context import ForkServerContext
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import redis

from jobs.pos_sync.breaker import Breaker
from jobs.pos_sync.limits import Limits, Pace

EVERY_20_MS = Pace(50, 1)
_MARK = """
local t = redis.call('TIME')
redis.call('RPUSH', KEYS[1], t[1] * 1000000 + t[2])
"""


def context() -> ForkServerContext:
    """Processes that begin with this module loaded."""
    found = get_context("forkserver")
    found.set_forkserver_preload([__name__])
    return found


def ask(url: str, ready: Barrier, times: int) -> None:
    """Note the server's time when it begins, and after each turn that it gets."""
    with redis.Redis.from_url(url) as client:
        limits, mark = Limits(client), client.register_script(_MARK)
        ready.wait(300)
        mark(["began"])
        for _ in range(times):
            limits.take("shop", EVERY_20_MS, 300)
            mark(["turns"])


def probe(url: str, ready: Barrier, found: "Queue[str]") -> None:
    with redis.Redis.from_url(url) as client:
        breaker = Breaker(client)
        ready.wait(300)
        found.put(breaker.acquire("shop").verdict)
