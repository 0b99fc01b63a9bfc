"""Old sales that a purge finds, young ones that it leaves, and a purge slow enough to disturb."""

from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import update

from policies.errors import TendError
from policies.models import Policy
from tests.faults.processes import eventually
from tests.worker.scenario import TESTER, Scenario, old, purge
from worker import advance, operations, runs, waiting
from worker.states import UNFINISHED
from worker.tables import Chunk, Run

YOUNG = 5


def load(scenario: Scenario, count: int) -> None:
    scenario.shop.salesData.insert_many(
        [{"_id": number, "createdAt": old(4000)} for number in range(count)]
        + [{"_id": f"young {number}", "createdAt": old(1)} for number in range(YOUNG)]
    )


def removed(scenario: Scenario, count: int) -> set[int]:
    """The keys that a plain reader finds missing."""
    left = {record["_id"] for record in scenario.shop.salesData.find({}, {"_id": 1})}
    assert len({key for key in left if isinstance(key, str)}) == YOUNG
    return set(range(count)) - left


def slow(**parts: Any) -> Policy:
    """Three records a second for each chunk that is worked on: time to see it and disturb it."""
    return purge(**{"batch": {"records": 3, "pause": "1s"}, "chunk": 15, **parts})


def request(scenario: Scenario, policy: Policy) -> int:
    """A run that workers work on, not this process."""
    return operations.request(
        scenario.engine.database,
        policy,
        "test",
        TESTER,
        apply_after_plan=True,
        inline=False,
        narrowing={},
    )


def finished(scenario: Scenario, run_id: int) -> Run:
    """The run, once it no longer wants a worker."""
    eventually(lambda: scenario.run(run_id).state not in UNFINISHED)
    return scenario.run(run_id)


def planned(scenario: Scenario, policy: Policy) -> int:
    """A run whose plan stands and which workers may now apply."""
    run = scenario.plan(policy)
    operations.apply(scenario.engine.database, run.id, policy, TESTER, inline=False)
    return run.id


def look(scenario: Scenario, run_id: int) -> Run:
    """What a worker does when it is rung for, in this process."""
    worker = replace(scenario.engine, is_inline=False)
    with suppress(TendError):
        advance.advance(worker, run_id)
    return scenario.run(run_id)


def worked_off(scenario: Scenario, run_id: int) -> Run:
    """The run, after it was looked at as often as it wanted, without the waits between tries."""

    def is_over() -> bool:
        with scenario.engine.database.transaction() as session:
            session.execute(update(Chunk).values(not_before=None))
        return look(scenario, run_id).state not in UNFINISHED

    eventually(is_over)
    return scenario.run(run_id)


def time_passes(scenario: Scenario) -> None:
    """What fifteen seconds without a sign of life do: leases end, and every run is rung for."""
    scenario.expire_leases()
    long_ago = datetime(2000, 1, 1, tzinfo=UTC)
    with scenario.engine.database.transaction() as session:
        session.execute(update(Run).values(rung_at=long_ago))


def waits_for(scenario: Scenario, run_id: int) -> str:
    """What the run says it waits for."""
    with scenario.engine.database.transaction() as session:
        return waiting.waiting_for(session, runs.get(session, run_id)) or "nothing"


def is_in_work(scenario: Scenario, run_id: int, chunks: int = 1) -> bool:
    """Whether so many chunks are claimed and have a batch behind them."""
    return sum(c.state == "claimed" and c.cursor > 0 for c in scenario.chunks(run_id)) >= chunks
