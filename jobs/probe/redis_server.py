"""Redis: memory against its limit, and how long the oldest message of a queue waits."""

import json
from collections.abc import Mapping
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, Literal, cast

from pydantic import Field, StrictInt
from redis import Redis

from jobs.probing import Look, ProbeContext, Reading
from policies.durations import Duration
from policies.probes import Check, Probe, ProbeOptions, Severity
from policies.selectors import Vocabulary

REDIS = "redis"
_UNLIMITED = "maxmemory is 0: without a limit there is none to compare memory with."


class Queue(Vocabulary):
    """A list in which messages wait, and how they say since when."""

    key: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.:-]{1,64}$")]
    kind: Literal["dramatiq", "sidekiq"] = "dramatiq"


class RedisOptions(ProbeOptions):
    """Which queues, and from when on a message is late and memory short."""

    CHECKS: ClassVar[Mapping[str, Check]] = MappingProxyType(
        {
            **ProbeOptions.CHECKS,
            "memory": Check(
                Severity.P1,
                "%",
                "Redis is nearly full: soon it refuses writes, or evicts what others need.",
                "Find the largest keys with redis-cli --bigkeys; raise maxmemory, or let what "
                "fills it expire.",
            ),
            "queue_age": Check(
                Severity.P1,
                "s",
                "Messages wait: nobody works on this queue, or too few do.",
                "See whether its workers run and what they are at; a queue that only grows needs "
                "more of them.",
            ),
        }
    )
    memory_percent: Annotated[StrictInt, Field(ge=1, le=100)] = 85
    queues: tuple[Queue, ...] = (Queue(key="tend:tend"),)
    age: Duration = Field(default="5m", validate_default=True)


class RedisProbe:
    """Asks for memory, and for the oldest message of each queue."""

    name: ClassVar[str] = "redis"
    Options: ClassVar[type[ProbeOptions]] = RedisOptions
    each_host: ClassVar[bool] = False

    def look(self, ctx: ProbeContext, probe: Probe) -> Look:
        options = cast(RedisOptions, probe.options)
        with ctx.redis as client:
            memory: Any = client.info("memory")
            readings = [
                _age(client, queue, options, ctx.now.timestamp()) for queue in options.queues
            ]
        if not memory.get("maxmemory"):
            return Look(readings, (_UNLIMITED,))
        return Look([_memory(memory, options.memory_percent), *readings])


def _memory(memory: Mapping[str, Any], limit: int) -> Reading:
    percent = 100 * memory["used_memory"] / memory["maxmemory"]
    says = f"{percent:.0f} % of maxmemory, above {limit} % is too much"
    return Reading(REDIS, "memory", percent > limit, says, round(percent, 1))


def _age(client: "Redis", queue: Queue, options: RedisOptions, now: float) -> Reading:
    limit = options.age.delta.total_seconds()
    put = _oldest(client, queue)
    seconds = 0.0 if put is None else max(0.0, now - put)
    says = f"the oldest message waits for {seconds:,.0f} s, above {limit:,.0f} s is too long"
    return Reading(queue.key, "queue_age", seconds > limit, says, round(seconds, 1))


def _oldest(client: "Redis", queue: Queue) -> float | None:
    """When the next message was put there, in seconds since the epoch; None if there is none.

    dramatiq takes from the left and keeps messages in a hash, Sidekiq takes from the right.
    """
    if queue.kind == "sidekiq":
        found: Any = client.lindex(queue.key, -1)
    else:
        number: Any = client.lindex(queue.key, 0)
        found = client.hget(f"{queue.key}.msgs", number) if number is not None else None
    if found is None:
        return None
    try:
        message = json.loads(found)
        put = float(message["message_timestamp" if queue.kind == "dramatiq" else "enqueued_at"])
    except (ValueError, KeyError, TypeError):
        return None
    return put / 1000 if put > _MILLISECONDS else put


_MILLISECONDS = 1e11
"""Larger numbers are milliseconds since the epoch: newer Sidekiqs count those, too."""
