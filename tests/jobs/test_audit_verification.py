"""Every night the log is verified, once, and what is off is no quiet matter."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path

import pytest
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

import policies
from tests.jobs.upset import Upset
from tests.worker.audit.keeping import SIGNER, sequence, write
from tests.worker.scenario import Scenario
from worker import database as control_database
from worker.alerts.answering import listed
from worker.audit.anchors import Anchors
from worker.audit.verify import remember, verify
from worker.errors import AnchorError
from worker.registry import Policies
from worker.tables import Alert, Entry, Verification

pytestmark = pytest.mark.sqlite_control

POLICY = Policies.load([Path(policies.__path__[0])]).get("audit-verification").policy
UPSETS = {POLICY.name: Upset(lambda _: None, 1, ())}
Shift = Callable[[timedelta], None]


@pytest.fixture
def scenario(scenario: Scenario) -> Scenario:
    """With a log of a few entries, and the key that signs it."""
    scenario.engine = replace(scenario.engine, signer=SIGNER)
    write(scenario.engine.database, 5, "run_succeeded")
    sequence(scenario.engine.database)
    return scenario


@pytest.fixture
def pass_on(monkeypatch: pytest.MonkeyPatch) -> Shift:
    """Lets the control database's clock go on."""
    clock, passed = control_database.now, [timedelta()]

    def now(session: Session) -> object:
        return clock(session) + passed[0]

    monkeypatch.setattr(control_database, "now", now)
    return lambda by: passed.__setitem__(0, passed[0] + by)


def verifications(scenario: Scenario) -> list[Verification]:
    with scenario.engine.database.transaction() as session:
        return list(session.scalars(select(Verification).order_by(Verification.id)))


def standing(scenario: Scenario) -> list[tuple[str, str]]:
    with scenario.engine.database.transaction() as session:
        alerts = session.scalars(select(Alert).where(Alert.cleared_at.is_(None)))
        return sorted((alert.event, alert.severity) for alert in alerts)


def test_it_is_due_at_two_every_night_and_not_spared_by_a_brake_for_all() -> None:
    assert POLICY.schedule is not None
    assert (POLICY.schedule.cron, POLICY.schedule.timezone) == ("0 2 * * *", "UTC")


def test_all_of_it_is_verified_on_record_and_once_in_a_night(
    scenario: Scenario, pass_on: Shift
) -> None:
    runs = [scenario.run_through(POLICY) for _ in range(2)]
    pass_on(timedelta(days=1))
    runs.append(scenario.run_through(POLICY))
    assert [(run.state, run.planned) for run in runs] == [
        ("succeeded", 1),
        ("succeeded", 0),
        ("succeeded", 1),
    ]
    found = verifications(scenario)
    assert [(each.full, each.integrity, each.completeness) for each in found] == [(True, 0, 0)] * 2
    assert found[-1].note is not None


def test_a_log_that_does_not_verify_fails_the_run_and_is_verified_again_the_next_time(
    scenario: Scenario,
) -> None:
    alter = update(Entry).where(Entry.id == 3)
    with scenario.engine.database.transaction() as session:
        session.execute(alter.values(actor="mallory"))
    run = scenario.run_through(POLICY)
    assert run.state == "failed"
    assert "does not verify: 1 findings against its integrity, 0" in str(run.error)
    assert [each.integrity for each in verifications(scenario)] == [1]
    assert standing(scenario) == [("audit_integrity", "P0")]
    with scenario.engine.database.transaction() as session:
        session.execute(alter.values(actor="ada@console"))
    assert scenario.run_through(POLICY).state == "succeeded"
    assert [each.integrity for each in verifications(scenario)] == [1, 0]
    assert standing(scenario) == []


def test_what_is_missing_is_another_alert_and_a_look_at_the_newest_part_ends_none(
    scenario: Scenario,
) -> None:
    db, keyring = scenario.engine.database, scenario.engine.keyring
    remember(db, verify(db, SIGNER, full=True))
    with db.transaction() as session:
        session.execute(delete(Entry).where(Entry.id == 3))
    remember(db, verify(db, SIGNER, full=True), keyring)
    assert standing(scenario) == [("audit_incomplete", "P1"), ("audit_integrity", "P0")]
    newest = verify(db, SIGNER)
    assert (newest.verified_from, newest.faults) == (5, 0)
    remember(db, newest, keyring)
    assert len(standing(scenario)) == 2
    with db.transaction() as session:
        (text, *_) = [each["text"] for each in listed(session, keyring)]
    assert "has 1 findings. The first: Entry 3 at position 2 is gone." in text


def test_a_store_of_anchors_that_does_not_answer_is_no_verification(
    scenario: Scenario, tmp_path: Path
) -> None:
    blocked = tmp_path / "blocked"
    blocked.write_text("no folder")
    anchors = Anchors(str(blocked))
    with pytest.raises(AnchorError):
        anchors.newest(SIGNER)
    scenario.engine = replace(scenario.engine, anchors=anchors)
    run = scenario.run_through(POLICY)
    assert (run.state, verifications(scenario)) == ("failed", [])
    assert "anchors of the audit log cannot be read" in str(run.error)
