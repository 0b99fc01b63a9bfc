"""The module that dramatiq's own command line loads: one broker, one actor, one engine.

Nothing that must happen lives in middleware, for the broker swallows what middleware raises:
claims are inside the actor, and a ring that fails is owed again by the reconciler.
"""

import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import dramatiq
import structlog
from dramatiq import Broker, Worker
from dramatiq.middleware import Middleware

from policies.errors import TendError
from worker import backlog, bootstrap, chores, database, logs, queue, relay, sentry, statsd
from worker.advance import advance
from worker.alerts import watch
from worker.audit import keeping
from worker.chores import Chore
from worker.engine import Engine
from worker.heartbeat import Heartbeat
from worker.measuring import Measures
from worker.metrics import listener
from worker.probes import prober
from worker.settings import Settings

BEAT_SECONDS = 5
ASK_SECONDS = 15
ANSWER_SECONDS = 30
"""Less can end dramatiq's consumer: its issue 894."""
GOODBYE_SECONDS = 4
"""dramatiq waits much longer to acknowledge rings to a Redis that does not answer."""
_MAX_ID = 2**31

log = structlog.get_logger()
_settings = Settings.load()


class Looks:
    """The runs that the threads of this process look at now."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0

    @contextmanager
    def one(self) -> Iterator[None]:
        self._add(1)
        try:
            yield
        finally:
            self._add(-1)

    def wait_until_none(self) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._count == 0)

    def _add(self, number: int) -> None:
        with self._changed:
            self._count += number
            self._changed.notify_all()


class Lifecycle(Middleware):
    """Opens the engine after the fork, beats while the process lives, drains on SIGTERM."""

    engine: Engine

    def __init__(self) -> None:
        self.looks = Looks()

    def after_process_boot(self, broker: Broker) -> None:  # noqa: ARG002 - dramatiq's signature
        logs.configure(_settings)
        sentry.start(_settings, "worker")
        statsd.start(_settings)
        try:
            control = bootstrap.open_database(_settings)
            keeping.require_anchored(_settings, control)
            self.engine = bootstrap.open_engine(_settings, control)
        except Exception as error:
            log.critical("worker cannot begin", why=logs.safe_text(error), exc_info=error)
            raise SystemExit(1) from error  # the broker swallows everything else
        measures = Measures(self.engine.targets)
        beat = partial(self._beat, measures)
        threading.Thread(target=beat, name="heartbeat", daemon=True).start()
        chores.start(self._chores(measures), self.engine.draining)

    def _chores(self, measures: Measures) -> Iterator[Chore]:
        yield from keeping.chores(_settings, self.engine.database)
        yield from backlog.chores(_settings, self.engine)
        yield Chore("targets", measures.ask, ASK_SECONDS)
        yield watch.of_workers(_settings, self.engine)
        yield from listener.chores(_settings, self.engine.database, "worker")
        yield from prober.chores(_settings, self.engine)

    def before_worker_shutdown(self, broker: Broker, worker: Worker) -> None:  # noqa: ARG002 - dramatiq's signature
        self.engine.draining.set()
        threading.Thread(target=self._end_anyway, name="end", daemon=True).start()

    def _end_anyway(self) -> None:
        """Once no work is left, Redis gets a moment; a ring not acknowledged comes again."""
        self.looks.wait_until_none()
        time.sleep(GOODBYE_SECONDS)  # the process ends meanwhile if Redis answers
        log.warning("worker ends without a word from Redis; its rings come again")
        os._exit(0)

    def _beat(self, measures: Measures) -> None:
        heartbeat = Heartbeat(self.engine.database, "worker", measures)
        while not self.engine.draining.is_set():
            _tried(heartbeat.beat)
            self.engine.draining.wait(BEAT_SECONDS)
        _tried(heartbeat.stop)


def _tried(sign: Callable[[], None]) -> None:
    """A thread that dies of one error would leave a worker that works and seems dead."""
    try:
        sign()
    except Exception as error:
        unexpected = not isinstance(error, TendError)
        log.warning("no heartbeat", why=logs.safe_text(error), exc_info=unexpected)


lifecycle = Lifecycle()
broker = queue.connect(_settings.need("redis_url"), lifecycle, answer_seconds=ANSWER_SECONDS)
dramatiq.set_broker(broker)


@dramatiq.actor(queue_name=queue.QUEUE, actor_name=queue.ACTOR, broker=broker)
def look(run_id: Any) -> None:
    """Look at a run and do what it needs; what goes wrong here, the reconciler rings for again."""
    if not (isinstance(run_id, int) and 0 < run_id < _MAX_ID):
        log.warning("doorbell that names no run")
        return
    try:
        with lifecycle.looks.one():
            advance(lifecycle.engine, run_id)
        _ring_what_is_owed()
    except TendError as error:
        log.warning("run must wait", run=run_id, why=logs.safe_text(error))


def _ring_what_is_owed() -> None:
    """A worker that has Redis needs no scheduler to go on with what it began."""
    db = lifecycle.engine.database
    with db.transaction() as session:
        moment = database.now(session)
    relay.relay(db, partial(queue.ring, broker), moment)
