"""The scheduler process: one tick a second that fires what is due and rings what is owed."""

import logging
import signal
import threading
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from types import FrameType

import structlog
from apscheduler.schedulers.blocking import BlockingScheduler

from policies.models import Policy
from worker import database
from worker.chores import Chore
from worker.database import Database
from worker.firing import fire_due
from worker.heartbeat import Heartbeat
from worker.relay import relay

TICK_SECONDS = 1
RECONCILE_SECONDS = 2
LOOK_SECONDS = 0.2
AFTER = timedelta(milliseconds=30)
"""By so much a clock may drift before its slots are found a tick later."""

log = structlog.get_logger()


def run(
    db: Database,
    policies: Sequence[Policy],
    environment: str,
    ring: Callable[[int], None],
    reconcile: Callable[[], object],
    chores: Iterable[Chore] = (),
) -> None:
    """Tick and reconcile until SIGTERM or SIGINT; exits 1 should the loop end by itself."""
    stop = _Stop()
    heartbeat = Heartbeat(db, "scheduler")

    def tick() -> None:
        fire_due(db, policies, environment, _now(db))
        heartbeat.beat()
        relay(db, ring, _now(db))

    logging.getLogger("apscheduler").setLevel(logging.WARNING)  # INFO has two lines for each tick
    scheduler = BlockingScheduler(
        timezone=UTC,
        job_defaults={"misfire_grace_time": None, "coalesce": True, "max_instances": 1},
    )
    begins = _after_the_second(db)
    own = (Chore("tick", tick, TICK_SECONDS), Chore("reconcile", reconcile, RECONCILE_SECONDS))
    for chore in (*own, *chores):
        scheduler.add_job(chore, "interval", seconds=chore.seconds, next_run_time=begins)
    loop = threading.Thread(target=scheduler.start, name="scheduler", daemon=True)
    loop.start()
    while loop.is_alive() and not (stop.asked and scheduler.running):
        loop.join(LOOK_SECONDS)
    if not loop.is_alive():
        log.critical("the scheduler's loop has died; the process ends so that it is restarted")
        raise SystemExit(1)
    log.info("scheduler stops")
    scheduler.shutdown()
    heartbeat.stop()


class _Stop:
    """Set by the first signal; a second one ends the process at once.

    A flag and nothing more: an Event that is set inside a signal handler can block for ever.
    """

    def __init__(self) -> None:
        self.asked = False
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, self._ask)

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        self.asked = True
        signal.signal(number, signal.SIG_DFL)


def _after_the_second(db: Database) -> datetime:
    """Slots are whole seconds of the control database: a tick soon after one finds it at once."""
    wait = timedelta(seconds=1) - timedelta(microseconds=_now(db).microsecond)
    return datetime.now(UTC) + wait + AFTER


def _now(db: Database) -> datetime:
    with db.transaction() as session:
        return database.now(session)
