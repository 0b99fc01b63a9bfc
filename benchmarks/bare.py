"""A dramatiq actor with nothing of Tend around it, on a broker with Tend's settings.

`python -m dramatiq benchmarks.bare`: each message says when it was sent, and how late it came goes
into a list in Redis.
"""

import os
import time

import dramatiq

from benchmarks.upkeep import BARE, LATE
from worker import queue

broker = queue.connect(os.environ["TEND_REDIS_URL"], answer_seconds=30)
broker.declare_queue(BARE)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name=BARE, actor_name=BARE, broker=broker)
def arrive(sent: float) -> None:
    """Note how many seconds the message took."""
    broker.client.rpush(LATE, time.time() - sent)
