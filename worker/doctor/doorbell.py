"""Redis: reachable, Tend's own, keeping what it is given, and how many rings wait."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from itertools import islice
from typing import Any

import redis
from redis.exceptions import AuthenticationError, NoPermissionError, RedisError

from worker import queue
from worker.doctor.check import CONNECT_SECONDS, Check, Site, Verdict, ok, warning
from worker.errors import QueueUnreachable

_SETTING = "TEND_REDIS_URL"
_LOOKED_AT = 10_000
_OURS = b"tend:"


@contextmanager
def _client(site: Site) -> Iterator[Any]:
    url = site.settings.need("redis_url")
    client = redis.Redis.from_url(
        url, socket_connect_timeout=CONNECT_SECONDS, socket_timeout=CONNECT_SECONDS
    )
    try:
        with closing(client):
            yield client
    except (AuthenticationError, NoPermissionError) as error:
        raise QueueUnreachable(
            "Redis refuses the user or password in TEND_REDIS_URL, or does not let it do this."
        ) from error
    except RedisError as error:
        raise QueueUnreachable(
            "Redis does not answer; check TEND_REDIS_URL and the server. Until it does, runs wait."
        ) from error


def _reachable(site: Site) -> Verdict:
    with _client(site) as client:
        server = client.info("server")
    name = "Valkey" if "valkey_version" in server else "Redis"
    version = server.get("valkey_version") or server["redis_version"]
    return ok(f"{name} {version} answers.")


def _keeps(site: Site) -> Verdict:
    with _client(site) as client:
        policy = client.info("memory").get("maxmemory_policy", "unknown")
    if policy != "noeviction":
        return warning(
            f"Redis may throw messages away when memory is short (maxmemory-policy {policy}), "
            "which delays runs; set maxmemory-policy noeviction."
        )
    return ok("Redis keeps what it is given (noeviction).")


def _own(site: Site) -> Verdict:
    with _client(site) as client:
        keys = islice(client.scan_iter(count=1000), _LOOKED_AT)
        foreign = sum(not bytes(key).startswith(_OURS) for key in keys)
    if foreign:
        return warning(
            f"The Redis database in TEND_REDIS_URL holds {foreign:,} keys that are not Tend's; "
            "name a database of its own, such as redis://…/5."
        )
    return ok("The Redis database is Tend's own.")


def _waiting(site: Site) -> Verdict:
    with _client(site) as client:
        client.ping()  # knows better than the broker what is wrong, and gives up sooner
    broker = queue.connect(site.settings.need("redis_url"))
    with closing(broker.client):
        rings = queue.depth(broker)
    return ok(f"{rings:,} rings wait for a worker.")


CHECKS = (
    Check("redis", _SETTING, _reachable),
    Check("redis_memory", _SETTING, _keeps),
    Check("redis_database", _SETTING, _own),
    Check("queue", _SETTING, _waiting),
)
