"""Undo: what nobody has touched since comes back to the byte; a conflict is never overwritten."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select

from tests.worker.scenario import (
    TESTER,
    Scenario,
    negative_values,
    old,
    purge,
    sessions,
    text_dates,
)
from worker import advance, applying, claims, operations
from worker.claims import totals
from worker.database import now
from worker.errors import ArchiveExpired, ForbiddenArrow
from worker.keys import RunKey
from worker.tables import Doorbell, Run, Switch
from worker.targets.base import ArchiveRef, Images

pytestmark = pytest.mark.sqlite_control


def restored_and_conflicts(scenario: Scenario, run: Run) -> tuple[int, int]:
    with scenario.engine.database.transaction() as session:
        counts = totals(session, run.id, "undo")
    return counts.changed, counts.changed_since


def test_a_purge_comes_back_to_the_byte(scenario: Scenario) -> None:
    records = [
        {"_id": number, "createdAt": old(3000), "nested": {"z": 1, "a": [number, None, 2.5]}}
        for number in range(60)
    ]
    scenario.shop.salesData.insert_many(records)
    before = scenario.contents("salesData")
    run = scenario.run_through(purge())
    assert scenario.contents("salesData") == {}
    undone = scenario.undo(run)
    assert undone.state == "undone"
    assert restored_and_conflicts(scenario, run) == (60, 0)
    assert scenario.contents("salesData") == before


def test_a_key_that_was_taken_again_is_a_conflict(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [{"_id": number, "createdAt": old(3000)} for number in range(30)]
    )
    run = scenario.run_through(purge())
    scenario.shop.salesData.insert_one({"_id": 4, "mine": "new"})
    scenario.undo(run)
    assert restored_and_conflicts(scenario, run) == (29, 1)
    assert scenario.shop.salesData.find_one({"_id": 4}) == {"_id": 4, "mine": "new"}


def test_a_unique_value_that_was_taken_again_is_a_conflict(scenario: Scenario) -> None:
    scenario.shop.sessions.create_index("sessionId", unique=True)
    scenario.shop.sessions.insert_many(
        [
            {"_id": number, "sessionId": f"s-{number}", "isActive": False, "expiresAt": old(1)}
            for number in range(30)
        ]
    )
    run = scenario.run_through(sessions())
    for number in (3, 4, 21):
        scenario.shop.sessions.insert_one({"_id": f"new {number}", "sessionId": f"s-{number}"})
    assert scenario.undo(run).state == "undone"
    assert restored_and_conflicts(scenario, run) == (27, 3)
    assert scenario.shop.sessions.count_documents({}) == 30
    assert scenario.shop.sessions.find_one({"_id": 3}) is None


def test_a_repaired_value_that_was_edited_since_is_a_conflict(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [{"_id": number, "quantity": -number, "revenue": 5.0} for number in range(1, 31)]
    )
    before = scenario.contents("salesData")
    run = scenario.run_through(negative_values())
    scenario.shop.salesData.update_one({"_id": 2}, {"$set": {"quantity": 9}})
    scenario.shop.salesData.update_one({"_id": 5}, {"$set": {"note": "another field"}})
    scenario.shop.salesData.delete_one({"_id": 8})
    scenario.undo(run)
    assert restored_and_conflicts(scenario, run) == (28, 2)
    after = scenario.contents("salesData")
    assert scenario.shop.salesData.find_one({"_id": 2}) == {"_id": 2, "quantity": 9, "revenue": 5.0}
    assert scenario.shop.salesData.find_one({"_id": 5}) == {
        "_id": 5,
        "quantity": -5,
        "revenue": 5.0,
        "note": "another field",
    }
    untouched = set(before) - {2, 5, 8}
    assert {key: after[key] for key in untouched} == {key: before[key] for key in untouched}


def test_conflicts_are_on_record_with_their_cause(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [{"_id": 1, "date": "2021-03-04"}, {"_id": 2, "date": "2021-03-05"}]
    )
    run = scenario.run_through(text_dates())
    scenario.shop.salesData.update_one({"_id": 2}, {"$set": {"date": "2022-01-01"}})
    scenario.undo(run)
    key = scenario.engine.keyring.unwrap(scenario.run(run.id).key or b"")
    found: list[Any] = []
    for chunk in scenario.chunks(run.id, "undo"):
        for archive in chunk.archives:
            ref = ArchiveRef(archive["name"], archive["sha256"], archive["size"])
            found += [
                (record.key, record.code)
                for record in scenario.engine.archive.read(key, ref)
                if record.outcome == "conflict"
            ]
    assert found == [(2, "changed_since")]


def test_undoing_twice_is_refused_and_changes_nothing(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(5)])
    run = scenario.run_through(purge())
    scenario.undo(run)
    before = scenario.contents("salesData")
    with pytest.raises(ForbiddenArrow, match="it was taken back"):
        operations.undo(scenario.engine.database, run.id, TESTER, inline=True)
    assert scenario.contents("salesData") == before


def test_an_undo_pauses_the_schedule_until_it_is_enabled_again(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(5)])
    run = scenario.run_through(purge())
    scenario.undo(run)
    with scenario.engine.database.transaction() as session:
        assert session.get_one(Switch, "under-test").schedule_paused is True
    operations.enable(scenario.engine.database, purge(), TESTER)
    with scenario.engine.database.transaction() as session:
        assert session.get_one(Switch, "under-test").schedule_paused is False


def test_a_plan_that_changed_nothing_needs_no_undo(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(5)])
    plan = scenario.plan(purge())
    operations.cancel(scenario.engine, plan.id, TESTER)
    with pytest.raises(ForbiddenArrow, match="changed nothing"):
        operations.undo(scenario.engine.database, plan.id, TESTER, inline=True)


def test_a_cancelled_run_can_be_taken_back(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [{"_id": number, "createdAt": old(3000)} for number in range(60)]
    )
    before = scenario.contents("salesData")
    run_id = scenario.request(purge(chunk=25))
    engine = scenario.engine
    assert advance.plan(engine, run_id)
    claim = claims.claim(engine.database, run_id, "w", engine.actor)
    assert claim is not None
    assert applying.work_on(engine, claim)
    operations.cancel(engine, run_id, TESTER)
    assert scenario.shop.salesData.count_documents({}) == 35
    undone = scenario.undo(scenario.run(run_id))
    assert undone.state == "undone"
    assert scenario.contents("salesData") == before


def test_an_expired_archive_is_destroyed_with_its_key_and_cannot_be_undone(
    scenario: Scenario,
) -> None:
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(30)])
    run = scenario.run_through(purge())
    with scenario.engine.database.transaction() as session:
        session.get_one(Run, run.id).expires_at = old(1)
    scenario.advance(run.id)
    after = scenario.run(run.id)
    assert (after.key, after.sample) == (None, None)
    assert all(chunk.payload is None for chunk in scenario.chunks(run.id))
    assert scenario.shop.tend_fences.count_documents({}) == 0
    ref = scenario.chunks(run.id)[0].archives[0]
    with pytest.raises(ArchiveExpired, match="cannot be taken back"):
        operations.undo(scenario.engine.database, run.id, TESTER, inline=True)
    assert not scenario.engine.archive.exists(ref["name"])
    assert "archive_destroyed" in [entry.action for entry in scenario.entries(run.id)]


def test_what_a_worker_wrote_after_its_archive_was_destroyed_goes_a_day_later(
    scenario: Scenario,
) -> None:
    """Only in the folder of the run itself: another site may share the store."""
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(3)])
    run = scenario.run_through(purge())
    archive, db = scenario.engine.archive, scenario.engine.database
    of_another_site = archive.write(RunKey.new(), "another/apply-0.1.0.bson.zst", Images())
    with db.transaction() as session:
        session.get_one(Run, run.id).expires_at = old(1)
    scenario.advance(run.id)
    late = archive.write(RunKey.new(), f"{run.token}/apply-0.1.9.bson.zst", Images())
    with db.transaction() as session:
        (due,) = session.scalars(select(Doorbell.due_at).where(Doorbell.run_id == run.id))
        assert due - now(session) > timedelta(hours=23)
    scenario.advance(run.id)
    assert not archive.exists(late.name)
    assert archive.exists(of_another_site.name)
    assert [entry.action for entry in scenario.entries(run.id)].count("archive_destroyed") == 1
