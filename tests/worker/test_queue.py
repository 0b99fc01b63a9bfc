"""The doorbell: what a ring is in Redis, and what happens when Redis does not answer."""

import signal
import time
from collections.abc import Iterator
from pathlib import Path

import dramatiq
import pytest
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Retries

from demo.servers import Valkey, valkey
from worker import queue
from worker.errors import QueueUnreachable

NOWHERE = "redis://127.0.0.1:1/0"


@pytest.fixture
def broker(redis_url: str) -> Iterator[RedisBroker]:
    broker = queue.connect(redis_url)
    yield broker
    broker.close()


def heard(broker: RedisBroker) -> list[tuple[str, tuple[int, ...]]]:
    """Every message that waits, as a worker would fetch it."""
    consumer = broker.consume(queue.QUEUE, prefetch=100, timeout=10)
    messages = iter(lambda: next(consumer), None)
    return [(message.actor_name, tuple(message.args)) for message in messages]


def test_a_ring_asks_one_worker_to_look_at_the_run(broker: RedisBroker) -> None:
    queue.ring(broker, 7)
    assert heard(broker) == [("look", (7,))]


def test_each_ring_is_a_message_of_its_own(broker: RedisBroker) -> None:
    for _ in range(3):
        queue.ring(broker, 7)
    assert queue.depth(broker) == 3
    assert heard(broker) == [("look", (7,))] * 3
    assert queue.depth(broker) == 0


def test_a_ring_waits_in_no_delay_queue(broker: RedisBroker, redis_url: str) -> None:
    """dramatiq's delay queue is first-in first-out: one late message holds up all others."""
    queue.ring(broker, 7)
    with redis.Redis.from_url(redis_url) as client:
        assert {key.decode() for key in client.scan_iter("tend:tend*")} == {
            "tend:tend",
            "tend:tend.msgs",
        }


def test_the_broker_has_no_middleware_but_what_is_named(redis_url: str) -> None:
    own = dramatiq.Middleware()
    broker = queue.connect(redis_url, own)
    retries, last = broker.middleware
    assert isinstance(retries, Retries)
    assert retries.max_retries == 0
    assert last is own
    broker.close()


def test_without_redis_a_ring_says_so_at_once() -> None:
    broker = queue.connect(NOWHERE)
    began = time.monotonic()
    with pytest.raises(QueueUnreachable, match="The run is accepted and starts when a scheduler"):
        queue.ring(broker, 7)
    with pytest.raises(QueueUnreachable, match="check TEND_REDIS_URL"):
        queue.depth(broker)
    assert time.monotonic() - began < 2


@pytest.fixture
def own_valkey(tmp_path: Path) -> Iterator[Valkey]:
    with valkey(tmp_path) as server:
        yield server
        server.process.send_signal(signal.SIGCONT)


@pytest.mark.system
def test_a_redis_that_hangs_holds_a_ring_up_for_seconds_only(own_valkey: Valkey) -> None:
    """The scheduler rings between two ticks, and its sign of life must not grow old meanwhile."""
    broker = queue.connect(own_valkey.url)
    queue.ring(broker, 7)
    own_valkey.process.send_signal(signal.SIGSTOP)
    began = time.monotonic()
    with pytest.raises(QueueUnreachable):
        queue.ring(broker, 8)
    assert time.monotonic() - began < queue.RING_SECONDS + 2
    broker.client.connection_pool.disconnect()
