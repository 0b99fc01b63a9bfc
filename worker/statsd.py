"""Operations to StatsD, when TEND_STATSD is set: `operation.<name>.duration` and `.count`."""

import time
from collections.abc import Iterator
from contextlib import contextmanager

import structlog
from statsd import StatsClient

from worker.logs import safe_text
from worker.settings import Settings

log = structlog.get_logger()

_clients: list[StatsClient] = []
"""One, or none: the process's own, as its log is."""


def start(settings: Settings) -> None:
    """Send from now on; datagrams, so nothing waits and nothing fails if nobody listens."""
    for client in _clients:
        client.close()
    _clients.clear()
    if settings.statsd is not None:
        host, _, port = settings.statsd.rpartition(":")
        try:
            _clients.append(StatsClient(host, int(port)))
        except OSError as error:
            log.warning("no StatsD", why=safe_text(error))


@contextmanager
def operation(name: str) -> Iterator[None]:
    """Count what happens in this block, and how long it takes, whether it ends well or not."""
    began = time.monotonic()
    try:
        yield
    finally:
        for client in _clients:
            client.timing(f"operation.{name}.duration", (time.monotonic() - began) * 1000)
            client.incr(f"operation.{name}.count")
