"""The console beside a long history: how soon its pages come, and how soon progress is seen."""

import http.client
import os
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from random import Random
from urllib.parse import urlsplit

from cryptography.fernet import Fernet
from sqlalchemy import insert, update

import policies
from benchmarks.rounds import told
from demo.console import WebConsole, console
from worker import migrate
from worker.audit.entries import canonical, leaf_hash
from worker.database import Database
from worker.registry import Policies
from worker.states import State
from worker.tables import Chunk, Entry, Run

POLICIES = ("session-cleanup", "sales-retention", "text-dates", "oauth-state-cleanup")
PAGES = ("/", "/runs", "/runs?state=failed", "/audit")
REQUESTS, STEPS = 100, 15
_AT_ONCE = 10_000


@dataclass
class Visitor:
    """Somebody who is logged in, on one connection."""

    connection: http.client.HTTPConnection
    cookie: str

    def get(self, path: str) -> float:
        """Milliseconds until the page was there, whole."""
        began = time.perf_counter()
        self.connection.request("GET", path, headers={"Cookie": self.cookie, "Accept": "text/html"})
        response = self.connection.getresponse()
        response.read()
        if response.status != 200:
            raise RuntimeError(f"{path} was answered with {response.status}")
        return 1000 * (time.perf_counter() - began)


def measure(folder: Path, runs: int, entries: int) -> None:
    """SQLite, one process, one visitor at a time."""
    environment = {
        "TEND_DATABASE_URL": f"sqlite:///{folder}/control.sqlite",
        "TEND_KEYS": Fernet.generate_key().decode(),
        "TEND_ENV": "bench",
        "TEND_LOG": "json",
        "XDG_STATE_HOME": str(folder),
    }
    database = Database(environment["TEND_DATABASE_URL"])
    with ExitStack() as stack:
        stack.callback(database.close)
        migrate.upgrade(database)
        last = _history(database, runs, entries)
        opened = stack.enter_context(console({**os.environ, **environment}, folder))
        visitor = stack.enter_context(_visitor(opened))
        print(f"{runs:,} runs and {entries:,} entries")
        for path in PAGES:
            visitor.get(path)
            times = sorted(visitor.get(path) for _ in range(REQUESTS))
            p95 = times[int(0.95 * REQUESTS)]
            print(f"{path:20} p95 {p95:.1f} ms, {told(times, 'ms', 1)}: under 50 ms is wanted")
        seen = _latencies(database, opened.address, visitor.cookie, last)
        print(f"progress is in the browser after {told(seen, 's')}: under 1 s is wanted")


def _history(database: Database, runs: int, entries: int) -> int:
    """Two years of runs that are over, and one that is at work; returns its number."""
    random, now = Random(7), datetime.now(UTC)
    step = timedelta(days=730) / runs
    with database.transaction() as session:
        for first in range(1, runs + 1, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, runs + 1))
            rows = [_run(number, now - step * (runs - number), random) for number in numbers]
            session.execute(insert(Run), rows)
            session.execute(insert(Chunk), [_chunk(row) for row in rows])
        for first in range(1, entries + 1, _AT_ONCE):
            numbers = range(first, min(first + _AT_ONCE, entries + 1))
            session.execute(insert(Entry), [_entry(number, runs, now) for number in numbers])
        session.execute(
            update(Run)
            .where(Run.id == runs)
            .values(state=State.APPLYING, applying_at=now, policy_text=_policy_text())
        )
        at_work = update(Chunk).where(Chunk.run_id == runs)
        session.execute(at_work.values(state="claimed", cursor=0, changed=0, finished_at=None))
    return runs


def _policy_text() -> str:
    """What a run at work was frozen with, for its page reads it."""
    return Policies.load([Path(policies.__path__[0])]).get(POLICIES[0]).policy.text


def _run(number: int, at: datetime, random: Random) -> Mapping[str, object]:
    state = random.choices((State.SUCCEEDED, State.FAILED, State.REFUSED), (98, 1, 1))[0]
    return {
        "id": number,
        "token": f"{number:032x}",
        "policy": POLICIES[number % len(POLICIES)],
        "policy_version": "0" * 64,
        "policy_text": "{}",
        "environment": "bench",
        "state": state,
        "phase": "apply",
        "trigger": "schedule",
        "apply_after_plan": True,
        "inline": False,
        "actor": "tend-scheduler",
        "actor_proof": "claimed",
        "reason": "its schedule",
        "planned": 1_000,
        "population": 100_000,
        "digest": "0" * 64,
        "created_at": at,
        "finished_at": at + timedelta(seconds=9),
    }


def _chunk(run: Mapping[str, object]) -> Mapping[str, object]:
    return {
        "run_id": run["id"],
        "direction": "apply",
        "number": 0,
        "items": 1_000,
        "state": "done",
        "cursor": 1_000,
        "changed": 1_000,
        "finished_at": run["finished_at"],
    }


def _entry(number: int, runs: int, now: datetime) -> Mapping[str, object]:
    run = number * runs // 1_000_000 or 1
    body = canonical({"action": "chunk_outcome", "run": run, "number": number, "detail": {}})
    return {
        "id": number,
        "at": now - timedelta(seconds=number),
        "action": "chunk_outcome",
        "run_id": min(run, runs),
        "policy": POLICIES[number % len(POLICIES)],
        "actor": "tend-worker",
        "body": body,
        "leaf_hash": leaf_hash(body),
    }


@contextmanager
def _visitor(opened: WebConsole) -> Iterator[Visitor]:
    """By a login link, as a person comes in."""
    address = urlsplit(opened.address)
    connection = http.client.HTTPConnection(str(address.hostname), address.port, timeout=60)
    link = opened.login().rpartition("/")[2]
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    connection.request("POST", "/login/once", f"link={link}", kind)
    response = connection.getresponse()
    response.read()
    yield Visitor(connection, str(response.headers["Set-Cookie"]).partition(";")[0])
    connection.close()


def _latencies(database: Database, address: str, cookie: str, run: int) -> list[float]:
    """Seconds from the commit of a batch until the stream says it."""
    said: list[tuple[float, str]] = []
    there = threading.Event()
    listener = threading.Thread(
        target=_listen, args=(address, cookie, run, said, there), daemon=True
    )
    listener.start()
    there.wait(60)
    found = []
    for step in range(1, STEPS + 1):
        done = step * 10
        with database.transaction() as session:
            moved = update(Chunk).where(Chunk.run_id == run)
            session.execute(moved.values(cursor=done, changed=done))
        began = time.monotonic()
        until = began + 60
        while not any(f"<strong>{done} of" in line for _, line in said):
            if time.monotonic() > until:
                raise RuntimeError("progress never reached the stream")
            time.sleep(0.005)
        found.append(next(at for at, line in said if f"<strong>{done} of" in line) - began)
    return found


def _listen(
    address: str, cookie: str, run: int, said: list[tuple[float, str]], there: threading.Event
) -> None:
    place = urlsplit(address)
    connection = http.client.HTTPConnection(str(place.hostname), place.port, timeout=120)
    connection.request("GET", f"/runs/r-{run}/live", headers={"Cookie": cookie})
    response = connection.getresponse()
    while line := response.readline().decode():
        said.append((time.monotonic(), line))
        there.set()
