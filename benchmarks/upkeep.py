"""What Tend costs where there is nothing to do, beside a bare dramatiq actor on the same broker."""

import sys
import time
from pathlib import Path
from statistics import quantiles
from typing import Any

import dramatiq
import psutil
from dramatiq.brokers.redis import RedisBroker
from sqlalchemy import func, select

from benchmarks.rounds import told
from benchmarks.site import GUARDS, Site, opened, until
from worker import queue
from worker.states import UNFINISHED
from worker.tables import Run

BARE = "bare"
LATE = "bare:late"
"""Seconds that each message to the bare actor took."""
EMPTY = """\
job: session_cleanup
description: There are none.
options: {collection: sessions}
"""
OFTEN = "schedule: {every: 1s}\ncatchup: all\n"
SLOTS = 100
RUNS = 100
IDLE_SECONDS = 20
MIB = 1024 * 1024


def measure(folder: Path, rounds: int) -> None:
    """Each figure on servers of its own."""
    for name, text, part in (
        ("idle", EMPTY + GUARDS, _idle),
        ("starts", EMPTY + OFTEN + GUARDS, _starts),
        ("runs", EMPTY + GUARDS, _runs),
    ):
        place = folder / name
        place.mkdir()
        with opened(place, {"empty": text}) as site:
            site.shop.sessions.create_index("expiresAt")
            site.shop.sessions.create_index("isActive")
            part(site, rounds)


def _idle(site: Site, rounds: int) -> None:
    with site.scheduler() as scheduler, site.workers(1) as (worker,):
        for name, process in (("scheduler", scheduler), ("worker", worker)):
            members = [process, *process.children(recursive=True)]
            cost = [_percent(members) for _ in range(rounds)]
            largest = max(each.memory_info().rss for each in members) / MIB
            print(
                f"idle {name:29} {told(cost, '% of a core')}, {largest:.0f} MiB: "
                "under 3 % and 150 MiB are wanted"
            )


def _percent(members: list[psutil.Process]) -> float:
    before, began = _cpu(members), time.monotonic()
    time.sleep(IDLE_SECONDS)
    return 100 * (_cpu(members) - before) / (time.monotonic() - began)


def _cpu(members: list[psutil.Process]) -> float:
    return sum(sum(each.cpu_times()[:2]) for each in members)


def _starts(site: Site, _rounds: int) -> None:
    """One slot and one message a second."""
    with site.scheduler(), site.workers(1):
        until(lambda: _count(site) >= SLOTS)
    with site.control.transaction() as session:
        pairs = session.execute(
            select(Run.scheduled_for, Run.started_at).where(Run.started_at.is_not(None))
        )
        ours = [
            (started - slot).total_seconds()
            for slot, started in pairs
            if started is not None and slot is not None
        ]
    bare, _ = _bare(site, SLOTS, pause=1.0)
    for name, seconds in (("a slot to its start", ours), ("a bare actor", bare)):
        hundredths = quantiles([1000 * each for each in seconds], n=100)
        print(f"{name:34} p50 {hundredths[49]:,.0f} ms, p99 {hundredths[98]:,.0f} ms")


def _runs(site: Site, rounds: int) -> None:
    """As many runs, or messages, as there are, one after the other or side by side."""
    ours, theirs = [], []
    for _ in range(rounds):
        before = _count(site)
        asked = [site.request("empty") for _ in range(RUNS)]
        with site.workers(1), site.scheduler():
            until(lambda end=before + RUNS: _count(site) >= end)  # type: ignore[misc] # a default
        moments = [site.run(run_id) for run_id in asked]
        first = min(run.started_at for run in moments if run.started_at is not None)
        last = max(run.finished_at for run in moments if run.finished_at is not None)
        ours.append(RUNS / (last - first).total_seconds())
        late, seconds = _bare(site, RUNS, pause=0.0)
        theirs.append(len(late) / seconds)
    print(f"runs with nothing to do            {told(ours, 'a second', 1)}")
    print(f"messages to a bare actor           {told(theirs, 'a second', 1)}")


def _count(site: Site) -> int:
    """Runs that are over."""
    with site.control.transaction() as session:
        over = select(func.count()).select_from(Run).where(Run.state.not_in(UNFINISHED))
        return session.scalar(over) or 0


def _bare(site: Site, count: int, pause: float) -> tuple[list[float], float]:
    """Seconds that each message took to its actor, and that all of them took."""
    command = (sys.executable, "-m", "dramatiq", "benchmarks.bare", "-p", "1", "-t", "4")
    broker = queue.connect(site.settings.need("redis_url"))
    broker.client.delete(LATE)
    with site.process(*command):
        _send(broker)
        until(lambda: broker.client.llen(LATE) == 1)
        began = time.monotonic()
        for _ in range(count):
            _send(broker)
            time.sleep(pause)
        until(lambda: broker.client.llen(LATE) == count + 1)
        seconds = time.monotonic() - began
    late: Any = broker.client.lrange(LATE, 1, -1)
    broker.close()
    return [float(each) for each in late], seconds


def _send(broker: RedisBroker) -> None:
    message: dramatiq.Message[None] = dramatiq.Message(
        queue_name=BARE, actor_name=BARE, args=(time.time(),), kwargs={}, options={}
    )
    broker.enqueue(message)
