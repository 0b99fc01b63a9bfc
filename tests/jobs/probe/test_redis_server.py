"""A Redis that is full, and queues nobody works on."""

import json
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
import redis

from policies.probes import Probe
from tests.worker.probes.watch import Watch, probe
from worker import queue
from worker.engine import system_clock
from worker.tables import ProbeState


def asking(**options: Any) -> Probe:
    return probe("redis", options, every="5m", within="2m")


@pytest.fixture
def server(redis_url: str) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_url) as client:
        yield client
        client.config_set("maxmemory", 0)


@pytest.fixture
def shop(watch: Watch, redis_url: str) -> Watch:
    return replace(watch, site=replace(watch.site, redis_url=redis_url))


def test_memory_near_its_limit_is_told_once_and_cleared_once(
    shop: Watch, server: "redis.Redis"
) -> None:
    used: Any = server.info("memory")
    server.config_set("maxmemory", int(used["used_memory"] * 1.05) + 500_000)
    server.config_set("maxmemory-policy", "noeviction")
    shop.look(asking(memory_percent=20), 3)
    assert shop.alerts == [("probe/under-test/memory/redis", True)]
    server.config_set("maxmemory", int(used["used_memory"]) * 1000)
    shop.look(asking(memory_percent=20), 3)
    assert shop.alerts == [("probe/under-test/memory/redis", False)]


def test_without_a_limit_nothing_is_compared_and_that_is_said(
    shop: Watch, server: "redis.Redis"
) -> None:
    server.config_set("maxmemory", 0)
    assert [one.check for one in shop.look(asking())] == ["queue_age"]
    with shop.site.database.transaction() as session:
        (remark,) = session.get_one(ProbeState, ("under-test", "")).remarks
    assert "maxmemory is 0" in remark


def test_the_oldest_message_of_a_queue_says_how_long_it_waits(
    shop: Watch, server: "redis.Redis"
) -> None:
    now = system_clock().timestamp()
    for number, seconds in ((1, 900), (2, 5)):
        server.rpush("tend:tend", str(number))
        message = {"message_timestamp": int(1000 * (now - seconds))}
        server.hset("tend:tend.msgs", str(number), json.dumps(message))
    for seconds in (1200, 7):
        server.lpush("queue:default", json.dumps({"enqueued_at": now - seconds}))
    queues = [{"key": "tend:tend"}, {"key": "queue:default", "kind": "sidekiq"}, {"key": "none"}]
    readings = {
        one.subject: one for one in shop.look(asking(queues=queues)) if one.check == "queue_age"
    }
    assert {name: one.ill for name, one in readings.items()} == {
        "tend:tend": True,
        "queue:default": True,
        "none": False,
    }
    assert readings["tend:tend"].value == pytest.approx(900, abs=120)
    assert readings["queue:default"].value == pytest.approx(1200, abs=120)


def test_what_dramatiq_puts_into_its_queue_can_be_read(shop: Watch, redis_url: str) -> None:
    queue.ring(queue.connect(redis_url), 1)
    later = replace(shop.site, clock=lambda: system_clock() + timedelta(hours=1))
    (seen,) = [one for one in replace(shop, site=later).look(asking()) if one.check == "queue_age"]
    assert (seen.subject, seen.ill) == ("tend:tend", True)
