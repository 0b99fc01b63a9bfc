"""A killed worker's chunk elsewhere, and a long run by one worker beside the same by two."""

import json
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import psutil
from sqlalchemy import select

from benchmarks.rounds import ratios, told
from benchmarks.site import GUARDS, Site, opened, until
from worker.states import UNFINISHED, State
from worker.tables import Chunk, Entry

PURGE = """\
job: retention_purge
description: Old sales go.
options:
  collection: salesData
  select: {older_than: {field: createdAt, age: 365d}}
writers: 2
"""
POLICIES = {
    "slow": PURGE + "chunk: 50\nbatch: {records: 10, pause: 1s}\n" + GUARDS,
    # It rests most of the time, so that the database is not what limits it.
    "resting": PURGE + "chunk: 40\nbatch: {records: 20, pause: 1s}\n" + GUARDS,
}
RECORDS = {"slow": 200, "resting": 400}


def measure(folder: Path, rounds: int) -> None:
    """Print what came out of so many rounds of each."""
    with opened(folder, POLICIES) as site, site.scheduler():
        site.shop.salesData.create_index("createdAt")
        seconds = [_taken_over(site) for _ in range(rounds)]
        alone = [_seconds(site, 1) for _ in range(rounds)]
        shared = [_seconds(site, 2) for _ in range(rounds)]
    print(f"a killed worker's chunk elsewhere  {told(seconds, 's')}: under 20 is wanted")
    part = told(ratios(shared, alone), "")
    print(f"two workers, of the time of one    {part}: at most 0.7 is wanted")


def _ask(site: Site, name: str) -> int:
    old = datetime.now(UTC) - timedelta(days=4000)
    sales = [{"createdAt": old, "number": number} for number in range(RECORDS[name])]
    site.shop.salesData.insert_many(sales)
    return site.request(name)


def _end(site: Site, run_id: int) -> None:
    until(lambda: site.run(run_id).state not in UNFINISHED)
    if site.run(run_id).state != State.SUCCEEDED:
        raise SystemExit(f"r-{run_id} ended as {site.run(run_id).state}")


def _taken_over(site: Site) -> float:
    """From the kill to the next attempt's intent, by the audit."""
    with site.workers(2, threads=1):
        run_id = _ask(site, "slow")
        number, pid = until(partial(_in_work, site, run_id))
        psutil.Process(pid).kill()
        killed = datetime.now(UTC)
        again = until(partial(_second_intent, site, run_id, number))
        _end(site, run_id)
    return (again - killed).total_seconds()


def _in_work(site: Site, run_id: int) -> tuple[int, int] | None:
    """A chunk with a batch behind it, and the process that works on it."""
    query = select(Chunk).where(Chunk.run_id == run_id, Chunk.state == "claimed", Chunk.cursor > 0)
    with site.control.transaction() as session:
        chunk = session.scalars(query.limit(1)).first()
    return (chunk.number, int(str(chunk.claimed_by).rpartition("/")[2])) if chunk else None


def _second_intent(site: Site, run_id: int, number: int) -> datetime | None:
    query = select(Entry).where(Entry.run_id == run_id, Entry.action == "chunk_intent")
    with site.control.transaction() as session:
        for entry in session.scalars(query):
            detail = json.loads(entry.body)["detail"]
            if (detail["chunk"], detail["attempt"]) == (number, 2):
                return entry.at
    return None


def _seconds(site: Site, workers: int) -> float:
    """From the yes to the last chunk."""
    with site.workers(workers, threads=1):
        run_id = _ask(site, "resting")
        _end(site, run_id)
    with site.control.transaction() as session:
        chunks = session.scalars(select(Chunk.finished_at).where(Chunk.run_id == run_id))
        last = max(moment for moment in chunks if moment is not None)
    began = site.run(run_id).applying_at
    if began is None:
        raise SystemExit(f"r-{run_id} never began")
    return (last - began).total_seconds()
