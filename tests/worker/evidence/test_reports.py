"""Reports of a period: who had access, what failed, and who noticed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.worker.evidence.bundles import REFUSING
from tests.worker.evidence.manifested import sales
from tests.worker.scenario import ANOTHER, TESTER, Scenario, purge
from worker import approval, operations
from worker.evidence import reports
from worker.firing import fire_due
from worker.tables import Run

pytestmark = pytest.mark.sqlite_control  # evidence is read the same from either


def period() -> tuple[datetime, datetime]:
    now = datetime.now(UTC)
    return now - timedelta(hours=1), now + timedelta(hours=1)


def access(scenario: Scenario) -> dict[str, Any]:
    with scenario.engine.database.transaction() as session:
        return reports.access(session, *period())


def failures(scenario: Scenario) -> list[dict[str, Any]]:
    with scenario.engine.database.transaction() as session:
        return reports.failures(session, *period())


def test_access_lists_people_with_their_proof_and_not_tend_itself(happened: Scenario) -> None:
    said = access(happened)
    assert [(one["actor"], one["proof"]) for one in said["people"]] == [
        ("another", "token"),
        ("tester", "token"),
    ]
    assert said["people"][0]["entries"] == {"policy_enabled": 2}
    assert [one["detail"]["case"] for one in said["holds"]] == ["case-7"]
    assert [one["actor"] for one in said["policies"]] == ["another", "another"]


def test_an_override_is_alone_until_another_person_decides(scenario: Scenario) -> None:
    sales(scenario, ada=5, bob=0)
    careful = purge(**REFUSING)
    run = scenario.run_through(careful)
    db = scenario.engine.database
    approval.override(db, run.id, "max_records", careful, TESTER)
    assert [one["run"] for one in access(scenario)["alone"]] == [f"r-{run.id}"]
    approval.approve(db, run.id, careful, ANOTHER, inline=True)
    said = access(scenario)
    assert said["alone"] == []
    assert len(said["overrides"]) == len(said["approvals"]) == 1


def test_a_failure_says_its_cause_and_who_did_something_about_it(scenario: Scenario) -> None:
    sales(scenario, ada=5, bob=0)
    run = scenario.run_through(purge(**REFUSING))
    (unseen,) = failures(scenario)
    assert (unseen["what"], unseen["run"], unseen["noticed"]) == (
        "run_refused",
        f"r-{run.id}",
        None,
    )
    assert "max_records" in unseen["cause"]
    operations.disable(scenario.engine.database, purge(**REFUSING), ANOTHER)
    (seen,) = failures(scenario)
    assert seen["noticed"]["actor"] == "another"
    assert seen["noticed"]["action"] == "policy_disabled"
    assert seen["noticed"]["after_seconds"] >= 0


def test_a_missed_fire_is_a_failure_that_says_why(scenario: Scenario) -> None:
    now = datetime.now(UTC)
    policy = purge(schedule={"every": "1h"}, catchup="latest")
    fire_due(scenario.engine.database, [policy], "test", now - timedelta(hours=5))
    fire_due(scenario.engine.database, [policy], "test", now)
    missed = [one for one in failures(scenario) if one["what"] == "run_skipped"]
    assert missed
    assert all(one["cause"] for one in missed)


def test_what_happened_before_or_after_the_period_is_not_in_it(happened: Scenario) -> None:
    since, until = period()
    with happened.engine.database.transaction() as session:
        assert reports.failures(session, until, until + timedelta(days=1)) == []
        assert reports.access(session, since - timedelta(days=1), since)["people"] == []


def test_retention_counts_what_was_deleted_less_what_came_back(scenario: Scenario) -> None:
    sales(scenario, ada=5, bob=0)
    first = scenario.advance(scenario.run_through(purge()).id)
    sales(scenario, ada=3, bob=0)
    second = scenario.advance(scenario.run_through(purge()).id)
    scenario.advance(scenario.undo(second).id)
    with scenario.engine.database.transaction() as session:
        said = reports.retained(session, "under-test")
        finished = session.get_one(Run, first.id).finished_at
    assert (said["last_success"], said["deleted"], said["held"]) == (f"r-{first.id}", 5, 0)
    assert finished is not None
    assert said["last_success_at"] == finished.strftime("%Y-%m-%dT%H:%M:%S.%fZ")
    with scenario.engine.database.transaction() as session:
        nothing = reports.retained(session, "never-ran")
    assert nothing == {"last_success": None, "last_success_at": None, "deleted": 0, "held": None}
