"""Schedulers that are killed, away, or have a clock that jumps: each slot is one row, in time."""

import random
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from sqlalchemy import func, select

from policies.models import Policy
from tests.faults.processes import PATIENCE, tend
from tests.worker.scenario import sessions
from worker.database import Database
from worker.firing import fire_due
from worker.tables import Process, Run

START = datetime(2026, 9, 28, tzinfo=UTC)
END = datetime(2026, 11, 4, tzinfo=UTC)
OUTAGE = datetime(2026, 10, 24, 22, tzinfo=UTC)
"""Six hours without a scheduler, in which Berlin's clocks go back."""
MINUTE, HOUR = timedelta(minutes=1), timedelta(hours=1)
Times = tuple[tuple[int, int], ...]
BY_THE_CLOCK: dict[str, tuple[str, str, Times]] = {
    "berlin-night": ("30 2 * * *", "Europe/Berlin", ((2, 30),)),
    "lord-howe": ("15,45 1-2 * * *", "Australia/Lord_Howe", ((1, 15), (1, 45), (2, 15), (2, 45))),
}


def policies() -> list[Policy]:
    hourly = sessions(name="hourly", schedule={"every": "1h"}, catchup="all")
    local = [
        sessions(name=name, schedule={"cron": line, "timezone": zone}, catchup=catchup)
        for (name, (line, zone, _)), catchup in zip(
            BY_THE_CLOCK.items(), ("latest", "skip"), strict=True
        )
    ]
    return [hourly, *local]


def minutes() -> Iterator[datetime]:
    moment = START
    while moment <= END:
        yield moment
        moment += MINUTE


def wanted() -> Counter[tuple[str, datetime]]:
    """By walking through every minute: at each local date's times, or at once after a gap."""
    found = Counter(("hourly", moment) for moment in minutes() if moment.minute == 0)
    del found["hourly", START]
    for name, (_, zone, times) in BY_THE_CLOCK.items():
        done: set[Any] = set()
        local = ZoneInfo(zone)
        for moment in minutes():
            here = moment.astimezone(local)
            passed = [(here.date(), at) for at in times if (here.hour, here.minute) >= at]
            if set(passed) - done and moment > START:
                found[name, moment] += 1
            done.update(passed)
    return found


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_a_thousand_slots_of_three_schedulers_with_jumping_clocks_and_an_outage_are_one_row_each(
    control: Database,
) -> None:
    dice = random.Random(5)
    all_of_them = policies()
    fire_due(control, all_of_them, "test", START)

    def tick(moment: datetime) -> int:
        skewed = moment + timedelta(seconds=dice.uniform(-3, 3))
        return fire_due(control, all_of_them, "test", min(skewed, END))

    with ThreadPoolExecutor(3) as schedulers:
        moment = START
        while moment < END:
            is_away = OUTAGE <= moment < OUTAGE + 6 * HOUR
            jump = timedelta(minutes=dice.choice([-60, 5, 60, 180, 240, 300]))
            moment = OUTAGE + 6 * HOUR if is_away else moment + jump
            if not OUTAGE <= moment < OUTAGE + 6 * HOUR:
                list(schedulers.map(tick, [moment] * dice.randint(1, 3)))
        list(schedulers.map(tick, [END] * 3))
    with control.transaction() as session:
        rows = Counter(
            (run.policy, run.scheduled_for)
            for run in session.scalars(select(Run))
            if run.scheduled_for is not None
        )
    assert rows == wanted()
    assert rows.total() > 1000


SECONDLY = """\
name: session-cleanup
job: session_cleanup
description: Fires every second.
schedule: {every: 1s}
catchup: all
options: {collection: sessions}
guards: {max_records: 1, max_percent: 1}
undo: 7d
"""
KILLS = 4


@pytest.fixture
def site(environment: dict[str, str], tmp_path: Path) -> dict[str, str]:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "session-cleanup.yaml").write_text(SECONDLY)
    return {**environment, "TEND_POLICY_DIR": str(folder)}


def fired(control: Database) -> list[Run]:
    with control.transaction() as session:
        return list(session.scalars(select(Run).order_by(Run.scheduled_for)))


def have_begun(control: Database) -> int:
    """Those that were killed are counted, too: their signs of life stay for a day."""
    with control.transaction() as session:
        return session.scalar(select(func.count()).where(Process.kind == "scheduler")) or 0


def slowest_look_until(control: Database, begun: int, rows: int) -> float:
    """Look until so many have begun and fired; the seconds that the slowest of the looks took."""
    slowest, deadline = 0.0, time.monotonic() + PATIENCE
    while True:
        began = time.monotonic()
        is_reached = have_begun(control) >= begun and len(fired(control)) >= rows
        time.sleep(0.05)  # between two looks, not instead of one
        slowest = max(slowest, time.monotonic() - began)
        if is_reached:
            return slowest
        assert began < deadline, "no slot was fired in time"


def test_of_three_schedulers_killed_at_random_one_is_always_in_time(
    control: Database, site: dict[str, str]
) -> None:
    """What of a delay is the machine's, the looks of this test itself tell."""
    dice = random.Random(7)
    with ExitStack() as stack:
        replicas = [stack.enter_context(tend(site, "scheduler")) for _ in range(3)]
        looks = [slowest_look_until(control, 3, 1)]
        for number in range(1, KILLS + 1):
            killed = dice.randrange(3)
            replicas[killed].process.kill()
            replicas[killed] = stack.enter_context(tend(site, "scheduler"))
            rows = len(fired(control)) + dice.randint(1, 3)
            looks.append(slowest_look_until(control, 3 + number, rows))
        assert all(replica.process.poll() is None for replica in replicas)
    runs = fired(control)
    slots = [run.scheduled_for for run in runs if run.scheduled_for is not None]
    seconds = [(later - earlier).total_seconds() for earlier, later in pairwise(slots)]
    assert set(seconds) == {1}
    late = max(run.created_at - slot for run, slot in zip(runs, slots, strict=True)).total_seconds()
    assert late < 30 + 2 * max(looks)
