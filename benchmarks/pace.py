"""What an application notices: its p50 and p99 idle, beside a plain `delete_many`, and beside
a purge at `pace: gentle` and `pace: full`."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from statistics import quantiles
from typing import Any, Literal

from benchmarks.retention import (
    REASON,
    Bench,
    due_in,
    opened,
    restore,
    ring,
    seconds_of,
    state_of,
)
from benchmarks.rounds import ratios, told
from worker import advance, claims, identity, operations
from worker.operations import Person
from worker.states import UNFINISHED, State

IDLE_SECONDS = 10.0
GENTLE_RECORDS = 20_000
POLL_SECONDS = 0.05
WANTED = {"gentle": ": at most 2 is wanted, at 1,000 records/s"}

Load = Callable[[], float]
"""Removes records and returns how many a second."""
Prepare = Callable[[], Load]


@dataclass
class Side:
    """One kind of load: what the application measured, and records a second, per round."""

    p50: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    rate: list[float] = field(default_factory=list)


def measure(folder: Path, rows: int | None, rounds: int) -> None:
    """Take every side once in each round, in another order each time."""
    with opened(folder, rows) as bench:
        due = due_in(bench, datetime.now(UTC))
        removed = list(bench.records.find(due))
        loads: dict[str, Prepare] = {
            "idle": lambda: _idle,
            "delete_many": lambda: partial(_plain, bench, due),
            "gentle": lambda: _planned(bench, "gentle", GENTLE_RECORDS),
            "full": lambda: _planned(bench, "full", None),
        }
        sides = {name: Side() for name in loads}
        for number in range(rounds):
            turn = number % len(loads)
            for name in [*list(loads)[turn:], *list(loads)[:turn]]:
                _take(bench, loads[name](), sides[name])
                restore(bench, removed)
        _print(sides)


def _take(bench: Bench, load: Load, side: Side) -> None:
    """Put the load on while the application works."""
    with subprocess.Popen(
        [sys.executable, "-m", "benchmarks.application", bench.settings.need("mongo_url")],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as application:
        if application.stdout is None or application.stdout.readline() != "ready\n":
            raise SystemExit("the application did not start")
        rate = load()
        milliseconds, _ = application.communicate()
    hundredths = quantiles(json.loads(milliseconds), n=100)
    side.p50.append(hundredths[49])
    side.p99.append(hundredths[98])
    side.rate.append(rate)


def _idle() -> float:
    time.sleep(IDLE_SECONDS)
    return 0.0


def _plain(bench: Bench, due: dict[str, Any]) -> float:
    started = time.monotonic()
    deleted = bench.records.delete_many(due).deleted_count
    return deleted / (time.monotonic() - started)


def _planned(bench: Bench, pace: Literal["gentle", "full"], limit: int | None) -> Load:
    """A plan that the workers apply when the load is put on."""
    person = Person(identity.claimed(), REASON)
    database = bench.engine.database
    policy = bench.policy.model_copy(update={"pace": pace})
    narrowing: dict[str, Any] = {"limit": limit} if limit else {}
    run_id = operations.request(
        database, policy, "bench", person, apply_after_plan=False, inline=True, narrowing=narrowing
    )
    advance.plan(bench.engine, run_id)

    def apply() -> float:
        operations.apply(database, run_id, policy, person, inline=False)
        ring(bench)
        while state_of(database, run_id) in UNFINISHED:
            time.sleep(POLL_SECONDS)
        if state_of(database, run_id) != State.SUCCEEDED:
            raise SystemExit(f"r-{run_id} ended as {state_of(database, run_id)}")
        with database.transaction() as session:
            changed = claims.totals(session, run_id).changed
        return changed / seconds_of(database, run_id)

    return apply


def _print(sides: Mapping[str, Side]) -> None:
    print("an application's reads and updates, in milliseconds, and records removed in a second")
    for name, side in sides.items():
        rate = f", {told(side.rate, 'records/s', 0)}" if any(side.rate) else ""
        print(f"{name:11} p50 {told(side.p50, 'ms')}, p99 {told(side.p99, 'ms')}{rate}")
    for name in ("delete_many", "gentle", "full"):
        of_idle = told(ratios(sides[name].p99, sides["idle"].p99), "", 1)
        print(f"p99 of idle's, {name:11} {of_idle}{WANTED.get(name, '')}")
    speed = told(ratios(sides["full"].rate, sides["delete_many"].rate), "")
    print(f"full against plain         {speed}: at least 1.0 is wanted")
