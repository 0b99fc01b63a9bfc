"""A scheduled look of a task that finds nothing leaves nothing but when it was."""

from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import select, update

import policies
from policies.models import Policy
from tests.jobs.test_lockout_release import arrange
from tests.worker.scenario import NOW, TESTER, Scenario
from worker import advance, operations, runs
from worker.audit.verify import verify
from worker.firing import fire_due
from worker.registry import Policies
from worker.states import State
from worker.tables import Chunk, Doorbell, Entry, Run, RunCollection, ScheduleCursor

pytestmark = pytest.mark.sqlite_control
HALF_MINUTE = timedelta(seconds=30)


@pytest.fixture
def policy() -> Policy:
    return Policies.load([Path(policies.__path__[0])]).get("lockout-release").policy


def fire(scenario: Scenario, policy: Policy) -> list[int]:
    """A tick of the scheduler, half a minute after the last one; the runs that it queued."""
    scenario.clock.moment += HALF_MINUTE
    with scenario.engine.database.transaction() as session:
        before = set(session.scalars(select(Run.id)))
    fire_due(scenario.engine.database, [policy], "test", scenario.clock.moment)
    with scenario.engine.database.transaction() as session:
        return sorted(set(session.scalars(select(Run.id))) - before)


def rows(scenario: Scenario) -> int:
    with scenario.engine.database.transaction() as session:
        tables = (Run, Chunk, Doorbell, RunCollection, Entry)
        return sum(len(session.scalars(select(table)).all()) for table in tables)


def actions(scenario: Scenario, run: int) -> list[str]:
    with scenario.engine.database.transaction() as session:
        entries = select(Entry.action).where(Entry.run_id == run).order_by(Entry.id)
        return list(session.scalars(entries))


def test_an_idle_look_leaves_no_row_and_no_entry_but_when_it_was(
    scenario: Scenario, policy: Policy
) -> None:
    fire(scenario, policy)
    before = rows(scenario)
    for _ in range(3):
        (run,) = fire(scenario, policy)
        advance.advance(scenario.engine, run)
        assert rows(scenario) == before
    with scenario.engine.database.transaction() as session:
        cursor = session.get_one(ScheduleCursor, policy.name)
        assert cursor.looked_at is not None
        assert cursor.through > NOW
    advance.advance(scenario.engine, run)  # a ring that comes late


def test_a_look_that_finds_something_has_every_entry_from_the_first(
    scenario: Scenario, policy: Policy
) -> None:
    arrange(scenario)
    operations.enable(scenario.engine.database, policy, TESTER)
    fire(scenario, policy)
    (run,) = fire(scenario, policy)
    assert actions(scenario, run) == []
    advance.advance(scenario.engine, run)
    assert scenario.run(run).state == State.SUCCEEDED
    assert actions(scenario, run)[:4] == [
        "run_created",
        "run_planning",
        "run_planned",
        "run_applying",
    ]
    assert verify(scenario.engine.database).findings == []


def test_while_it_looks_a_log_without_its_entries_is_whole(
    scenario: Scenario, policy: Policy
) -> None:
    fire(scenario, policy)
    (run,) = fire(scenario, policy)
    assert verify(scenario.engine.database).findings == []
    with scenario.engine.database.transaction() as session:
        session.execute(update(Run).where(Run.id == run).values(state=State.SUCCEEDED))
    assert len(verify(scenario.engine.database).findings) == 1


def test_a_look_that_fails_says_so(scenario: Scenario, policy: Policy) -> None:
    fire(scenario, policy)
    (run,) = fire(scenario, policy)
    with scenario.engine.database.transaction() as session:
        row = runs.get(session, run, lock=True)
        runs.move(session, row, State.PLANNING, scenario.engine.actor)
        runs.move(session, row, State.FAILED, scenario.engine.actor, error="a test")
    assert actions(scenario, run) == ["run_created", "run_planning", "run_failed"]


def test_a_slot_that_a_look_in_progress_covers_leaves_nothing(
    scenario: Scenario, policy: Policy
) -> None:
    fire(scenario, policy)
    assert len(fire(scenario, policy)) == 1
    before = rows(scenario)
    assert fire(scenario, policy) == []
    assert rows(scenario) == before
