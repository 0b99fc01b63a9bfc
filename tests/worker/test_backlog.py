"""How much is overdue is counted by one of the workers, and kept for everybody who asks."""

from datetime import timedelta

import pytest
from sqlalchemy import delete, select

from tests.worker.scenario import NOW, Scenario, old, purge
from worker import backlog, database
from worker.settings import Settings
from worker.tables import Backlog, ScheduleCursor

pytestmark = pytest.mark.sqlite_control


def counted(scenario: Scenario) -> dict[str, Backlog]:
    with scenario.engine.database.transaction() as session:
        return {each.policy: each for each in session.scalars(select(Backlog))}


def test_what_is_due_is_kept_with_how_long_it_is_due(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many([{"createdAt": old(2555 + late)} for late in (1, 9, -5)])
    backlog.count(scenario.engine, [purge()])
    found = counted(scenario)[purge().name]
    assert (found.records, found.at_least, found.problem) == (2, False, None)
    with scenario.engine.database.transaction() as session:
        due = database.now(session) - NOW + timedelta(days=9)
    assert found.late_seconds is not None
    assert abs(found.late_seconds - due.total_seconds()) < 60


def test_where_nothing_is_due_nothing_is_late(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_one({"createdAt": old(-9000)})
    backlog.count(scenario.engine, [purge()])
    found = counted(scenario)[purge().name]
    assert (found.records, found.late_seconds) == (0, 0)


def test_what_cannot_be_counted_says_why(scenario: Scenario) -> None:
    scenario.shop.salesData.drop()
    backlog.count(scenario.engine, [purge()])
    (only,) = counted(scenario).values()
    assert only.records is None
    assert "salesData" in (only.problem or "")


def test_a_policy_that_went_away_is_counted_no_longer(scenario: Scenario) -> None:
    backlog.count(scenario.engine, [purge()])
    backlog.count(scenario.engine, [])
    assert counted(scenario) == {}


def test_one_worker_in_a_quarter_of_an_hour_counts(scenario: Scenario) -> None:
    (one,) = backlog.chores(Settings.load(), scenario.engine)
    (other,) = backlog.chores(Settings.load(), scenario.engine)
    one()
    assert counted(scenario)
    _forget(scenario)
    other()
    assert counted(scenario) == {}
    with scenario.engine.database.transaction() as session:
        row = session.scalars(select(ScheduleCursor)).one()
        row.through -= backlog.EVERY
    other()
    assert counted(scenario)


def _forget(scenario: Scenario) -> None:
    with scenario.engine.database.transaction() as session:
        session.execute(delete(Backlog))
