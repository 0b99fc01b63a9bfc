"""The control database: reachable, migrated, on time, and what lives on it."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager

from worker import database, revisions
from worker.database import Database
from worker.doctor.check import Check, Site, Verdict, compare_clocks, failed, ok, warning
from worker.heartbeat import last_seen
from worker.reconciler import WORKER_GONE

_SETTING = "TEND_DATABASE_URL"
_NAMES = {"sqlite": "SQLite", "postgresql": "PostgreSQL"}


@contextmanager
def opened(site: Site) -> Iterator[Database]:
    """The control database, migrated to this code; raises what is wrong with it."""
    with closing(Database(site.settings.need("database_url"))) as control:
        revisions.require_current(control)
        yield control


def _reachable(site: Site) -> Verdict:
    with opened(site) as control:
        began = time.monotonic()
        with control.transaction() as session:
            database.now(session)
        milliseconds = (time.monotonic() - began) * 1000
        name = _NAMES[control.dialect]
    return ok(f"{name} is migrated to this version and answers in {milliseconds:.1f} ms.")


def _on_time(site: Site) -> Verdict:
    with opened(site) as control, control.transaction() as session:
        return compare_clocks(site, "The control database's clock", lambda: database.now(session))


def _alive(site: Site, kind: str) -> Verdict:
    with opened(site) as control, control.transaction() as session:
        moment = database.now(session)
        seen = last_seen(session, kind)
    if seen is None:
        return warning(f"No {kind} runs; start one with `tend {kind}`.")
    seconds = (moment - seen).total_seconds()
    if moment - seen > WORKER_GONE:
        return failed(
            f"The last sign of life of a {kind} is {seconds:,.0f} s old; look why it ended and "
            f"start it with `tend {kind}`."
        )
    return ok(f"A {kind} gave a sign of life {seconds:.0f} s ago.")


def _scheduler(site: Site) -> Verdict:
    return _alive(site, "scheduler")


def _worker(site: Site) -> Verdict:
    return _alive(site, "worker")


CHECKS = (
    Check("control_database", _SETTING, _reachable),
    Check("control_clock", _SETTING, _on_time),
    Check("scheduler", _SETTING, _scheduler),
    Check("worker", _SETTING, _worker),
)
