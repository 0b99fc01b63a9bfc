"""Reports of a period: who had access, what failed, and who noticed."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import update

from jobs.task import Alert
from tests.worker.evidence.bundles import REFUSING
from tests.worker.evidence.manifested import sales
from tests.worker.scenario import ANOTHER, TESTER, Scenario, purge
from worker import approval, operations
from worker.alerts.alerts import raise_alert
from worker.alerts.answering import acknowledge
from worker.alerts.telling import Place, tell
from worker.evidence import noticed, reports
from worker.firing import fire_due
from worker.tables import Notice, Run

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


def alerted(scenario: Scenario) -> list[dict[str, Any]]:
    with scenario.engine.database.transaction() as session:
        return list(noticed.alerts(session, *period()))


def test_a_failure_names_the_alert_of_it_and_when_people_were_told(scenario: Scenario) -> None:
    sales(scenario, ada=5, bob=0)
    db, keyring = scenario.engine.database, scenario.engine.keyring
    scenario.run_through(purge(**REFUSING))
    (unseen,) = failures(scenario)
    assert (unseen["alerted"], alerted(scenario)) == (None, [])
    with db.transaction() as session:
        raise_alert(session, keyring, Alert("guard_refused", "tend/guard_refused/careful", "No."))
        raise_alert(session, keyring, Alert("worker_missing", "tend/worker_missing", "None."))
    tell(db, keyring, Place("test", None))
    with db.transaction() as session:
        session.execute(update(Notice).values(sent_at=Notice.at))
    acknowledge(db, "a-1", ANOTHER)
    (seen,) = failures(scenario)
    assert (seen["alerted"]["alert"], seen["alerted"]["severity"]) == ("a-1", "P2")
    assert seen["alerted"]["acknowledged_by"] == "another"
    assert seen["alerted"]["told_at"] is not None
    listed = alerted(scenario)
    assert [(one["event"], one["cleared_at"]) for one in listed] == [
        ("guard_refused", None),
        ("worker_missing", None),
    ]
    assert all(one["told_at"] for one in listed)


def test_an_alert_of_a_later_failure_was_not_how_an_earlier_one_was_noticed(
    scenario: Scenario,
) -> None:
    sales(scenario, ada=5, bob=0)
    db, keyring = scenario.engine.database, scenario.engine.keyring
    scenario.run_through(purge(**REFUSING))
    scenario.run_through(purge(name="careful"))
    wanted = Alert("guard_refused", "tend/guard_refused/careful", "No.")
    sales(scenario, ada=5, bob=0)
    scenario.run_through(purge(**REFUSING))
    with db.transaction() as session:
        raise_alert(session, keyring, wanted)
    earlier, later = failures(scenario)
    assert earlier["alerted"] is None
    assert later["alerted"]["alert"] == "a-1"
