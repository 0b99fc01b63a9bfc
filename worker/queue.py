"""The doorbell: dramatiq on Redis, which wakes workers and may lose, repeat or delay a ring."""

import dramatiq
import redis
from dramatiq.brokers.redis import RedisBroker
from dramatiq.middleware import Middleware, Retries
from redis.exceptions import RedisError

from worker.errors import QueueUnreachable

NAMESPACE = "tend"
QUEUE = "tend"
ACTOR = "look"
RING_SECONDS = 5
"""Who rings has other things to do, and the ring stays owed: a Redis that hangs holds it up."""


def connect(url: str, *middleware: Middleware, answer_seconds: int = RING_SECONDS) -> RedisBroker:
    """A broker with the settings measured in DESIGN.md and no middleware but what is named here."""
    client: redis.Redis = redis.Redis.from_url(
        url, socket_timeout=answer_seconds, socket_connect_timeout=5, health_check_interval=15
    )
    broker = RedisBroker(  # type: ignore[no-untyped-call] # dramatiq types most, not this
        client=client,
        namespace=NAMESPACE,
        heartbeat_timeout=15_000,
        maintenance_chance=1_000_000,
        middleware=[Retries(max_retries=0), *middleware],
    )
    broker.declare_queue(QUEUE)
    return broker


def ring(broker: RedisBroker, run_id: int) -> None:
    """Tell one worker to look at a run; raises `QueueUnreachable`."""
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=QUEUE, actor_name=ACTOR, args=(run_id,), kwargs={}, options={}
    )
    try:
        broker.enqueue(message)
    except (RedisError, dramatiq.BrokerConnectionError) as error:
        raise QueueUnreachable(
            "Redis does not answer; check TEND_REDIS_URL. The run is accepted and starts when a "
            "scheduler reaches Redis again."
        ) from error


def depth(broker: RedisBroker) -> int:
    """How many rings wait. dramatiq's own figure counts those in work, and counts them twice."""
    return depth_at(broker.client)


def depth_at(client: "redis.Redis") -> int:
    """The same for whoever rings nobody."""
    try:
        return int(client.llen(f"{NAMESPACE}:{QUEUE}"))
    except (RedisError, dramatiq.BrokerConnectionError) as error:
        raise QueueUnreachable("Redis does not answer; check TEND_REDIS_URL.") from error
