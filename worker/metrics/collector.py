"""One scrape: facts read at most every few seconds, by one thread, and never waited for long."""

import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import cached_property
from importlib.metadata import version

import redis
from prometheus_client import CollectorRegistry, generate_latest
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.exposition import CONTENT_TYPE_LATEST
from prometheus_client.registry import Collector

from jobs.task import Measurement
from policies.errors import TendError
from worker import families, queue
from worker.database import Database
from worker.metrics.facts import all_facts, measurement
from worker.settings import Settings

CONTENT_TYPE = CONTENT_TYPE_LATEST
FRESH_SECONDS = 5.0
"""Whoever asks again before that gets what the last one got."""
ANSWER_SECONDS = 4.0
REDIS_SECONDS = 1.0


class Metrics:
    """What this installation says to Prometheus; `text` is safe to call from many threads."""

    def __init__(self, settings: Settings, db: Database) -> None:
        self._settings = settings
        self._db = db
        self._lock = threading.Lock()
        self._pending: Future[list[Measurement]] | None = None
        self._read_at = float("-inf")

    def text(self) -> bytes:
        """The exposition. While the control database is silent it says that it is not up."""
        try:
            found = self._reading().result(ANSWER_SECONDS)
        except TimeoutError:
            found = [measurement("tend_control_database_up", 0)]
        registry = CollectorRegistry(auto_describe=False)
        registry.register(_Families([self._info(), *found]))
        return generate_latest(registry)

    def _reading(self) -> Future[list[Measurement]]:
        with self._lock:
            is_old = time.monotonic() - self._read_at > FRESH_SECONDS
            if self._pending is None or (self._pending.done() and is_old):
                self._pending = Future()
                self._read_at = time.monotonic()
                look = threading.Thread(
                    target=self._read, args=(self._pending,), name="metrics", daemon=True
                )
                look.start()
            return self._pending

    def _read(self, pending: Future[list[Measurement]]) -> None:
        began = time.monotonic()
        try:
            with self._db.reading() as session:
                found = list(all_facts(session))
            found.append(measurement("tend_control_database_up", 1))
        except TendError:
            found = [measurement("tend_control_database_up", 0)]
        except Exception as error:  # noqa: BLE001 - it is raised where the answer is awaited
            pending.set_exception(error)
            return
        found.extend(self._of_redis())
        found.append(measurement("tend_scrape_seconds", time.monotonic() - began))
        pending.set_result(found)

    def _of_redis(self) -> Iterator[Measurement]:
        """Nothing from the first on that Redis does not answer."""
        if self._redis is None:
            return
        try:
            yield measurement("tend_queue_depth", queue.depth_at(self._redis))
        except TendError:
            return
        for ask in families.asks():
            yield from ask(self._redis)

    @cached_property
    def _redis(self) -> "redis.Redis | None":
        if self._settings.redis_url is None:
            return None
        url = self._settings.redis_url.get_secret_value()
        return redis.Redis.from_url(
            url, socket_timeout=REDIS_SECONDS, socket_connect_timeout=REDIS_SECONDS
        )

    def _info(self) -> Measurement:
        return measurement(
            "tend_info",
            1,
            version=version("tend"),
            environment=self._settings.env,
            revision=self._settings.revision or "",
        )


class _Families(Collector):
    """Measurements, sorted into Prometheus's families."""

    def __init__(self, found: Iterable[Measurement]) -> None:
        self._found = found

    def collect(self) -> Iterator[GaugeMetricFamily]:
        families: dict[str, GaugeMetricFamily] = {}
        for one in self._found:
            labels = tuple(one.labels)
            if one.name not in families:
                families[one.name] = GaugeMetricFamily(one.name, one.says, labels=labels)
            families[one.name].add_metric([one.labels[name] for name in labels], one.value)
        yield from families.values()
