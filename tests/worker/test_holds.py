"""Legal holds: what one protects is planned by nobody and changed by nobody."""

import threading
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId
from sqlalchemy import select

from jobs.retention_purge import RetentionPurge
from tests.worker.between_batches import in_the_second_batch
from tests.worker.scenario import TESTER, Scenario, negative_values, old, policy_text, purge
from worker import claims, holding, objects, undoing
from worker.errors import FenceLost, HoldUndeclared, NotAllowed, UsageError
from worker.identity import DEVELOPMENT, Actor
from worker.operations import Person
from worker.registry import frozen_policy
from worker.tables import Entry, Hold, Run

pytestmark = pytest.mark.sqlite_control

USER = "u-1"
RECORDS = 40
HELD = [3, 13, 23, 33]


@pytest.fixture
def shop(scenario: Scenario) -> Scenario:
    scenario.shop.salesData.insert_many(
        [
            {
                "_id": number,
                "userId": USER if number in HELD else "another",
                "createdAt": old(3000),
                "quantity": -number - 1,
            }
            for number in range(RECORDS)
        ]
    )
    return scenario


def hold(shop: Scenario, value: str = USER, case: str = "CASE-1") -> int:
    added = holding.add(
        shop.engine.database, DEVELOPMENT, case, ("userId", value), TESTER, anticipatory=False
    )
    assert holding.await_batches(shop.engine, added) == []
    return added


def release(shop: Scenario, case: str = "CASE-1") -> None:
    holding.release(shop.engine.database, case, None, TESTER)


def expire_archive(shop: Scenario, run: Run) -> None:
    with shop.engine.database.transaction() as session:
        session.get_one(Run, run.id).expires_at = old(1)


def left(shop: Scenario) -> list[Any]:
    return sorted(record["_id"] for record in shop.shop.salesData.find())


def test_what_is_held_is_not_planned_and_the_plan_says_how_many(shop: Scenario) -> None:
    hold(shop)
    run = shop.plan(purge())
    assert run.planned == RECORDS - len(HELD)
    assert run.preview is not None
    assert run.preview["held"] == len(HELD)


def test_what_is_held_after_the_plan_is_not_changed_and_counted(shop: Scenario) -> None:
    plan = shop.plan(purge())
    hold(shop)
    run = shop.apply(plan)
    assert run.state == "succeeded"
    assert left(shop) == HELD
    with shop.engine.database.transaction() as session:
        totals = claims.totals(session, run.id)
    assert (totals.changed, totals.held, totals.total) == (36, 4, RECORDS)
    assert run.remaining is not None
    assert (run.remaining["held"], run.remaining["not_planned"]) == (4, 0)


def test_a_repair_spares_what_is_held(shop: Scenario) -> None:
    hold(shop)
    assert shop.run_through(negative_values()).state == "succeeded"
    negative = shop.shop.salesData.find({"quantity": {"$lt": 0}})
    assert sorted(record["_id"] for record in negative) == HELD


def test_a_hold_added_in_the_middle_of_a_run_protects_what_is_not_yet_changed(
    shop: Scenario,
) -> None:
    with in_the_second_batch(lambda: _add_only(shop)):
        run = shop.run_through(purge())
    assert run.state == "succeeded"
    assert left(shop) == [23, 33]  # the batch at work was compiled without it


def _add_only(shop: Scenario) -> None:
    holding.add(
        shop.engine.database, DEVELOPMENT, "CASE-1", ("userId", USER), TESTER, anticipatory=False
    )


def test_adding_waits_for_the_batch_that_was_compiled_without_it(shop: Scenario) -> None:
    waited: list[list[Any]] = []

    def add() -> None:
        hold(shop)
        waited.append(left(shop))

    adding = threading.Thread(target=add)
    with in_the_second_batch(adding.start):
        shop.run_through(purge())
    adding.join()
    assert 13 not in waited[0]  # its batch had ended when the hold was said to stand
    assert left(shop) == [23, 33]


def test_adding_ends_the_batch_of_a_worker_that_is_gone(shop: Scenario) -> None:
    """A worker that wakes after the hold was said to stand commits nothing."""
    run = shop.plan(purge(chunk=RECORDS))
    shop.apply_later(run)
    claim = claims.claim(shop.engine.database, run.id, "asleep", shop.engine.actor)
    assert claim is not None
    target = shop.engine.targets["mongo"]
    with target.fence(claim.fence, "salesData", shop.clock(), 1_000, _unused) as fence:
        fence.take(claim.attempt)
        shop.expire_leases()
        hold(shop)
        with pytest.raises(FenceLost):
            fence.batch(0, (0, 1), _unused)
    chunk = shop.chunks(run.id)[0]
    assert (chunk.state, chunk.attempt, chunk.rescues) == ("pending", 2, 0)
    assert shop.advance(run.id).state == "succeeded"
    assert left(shop) == HELD


def _unused(_: Any) -> Any:
    raise AssertionError("nothing is written through this fence")


def test_adding_says_which_runs_are_at_work_still(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = shop.plan(purge())
    shop.apply_later(run)
    claims.claim(shop.engine.database, run.id, "busy", shop.engine.actor)
    monkeypatch.setattr(holding, "PATIENCE_SECONDS", 0.0)
    added = holding.add(
        shop.engine.database, DEVELOPMENT, "CASE-1", ("userId", USER), TESTER, anticipatory=False
    )
    assert holding.await_batches(shop.engine, added) == [f"r-{run.id}"]


def test_a_released_hold_protects_nothing_and_stays_on_record(shop: Scenario) -> None:
    hold(shop)
    release(shop)
    shop.run_through(purge())
    assert left(shop) == []
    with shop.engine.database.transaction() as session:
        (row,) = session.scalars(select(Hold))
    assert (row.released_by, row.release_reason) == (TESTER.actor.name, TESTER.reason)


def test_somebody_only_claimed_cannot_release_a_hold_of_production(shop: Scenario) -> None:
    """Whatever their own TEND_ENV says: the hold knows where it was added."""
    subject = ("userId", USER)
    holding.add(shop.engine.database, "production", "CASE-1", subject, TESTER, anticipatory=False)
    claimed = Person(Actor("ann@here", "claimed"), "closed")
    with pytest.raises(NotAllowed, match="only claimed"):
        holding.release(shop.engine.database, "CASE-1", None, claimed)
    assert len(holding.release(shop.engine.database, "CASE-1", None, TESTER)) == 1


def test_of_two_holds_on_one_subject_one_is_enough(shop: Scenario) -> None:
    hold(shop, case="CASE-1")
    hold(shop, case="CASE-2")
    release(shop, "CASE-1")
    shop.run_through(purge())
    assert left(shop) == HELD


def test_adding_the_same_hold_again_changes_nothing(shop: Scenario) -> None:
    assert hold(shop) == hold(shop)


def test_releasing_what_does_not_stand_is_refused_with_the_case_that_was_meant(
    shop: Scenario,
) -> None:
    hold(shop, case="CASE-12")
    with pytest.raises(UsageError, match="did you mean 'CASE-12'"):
        release(shop, "CASE-1")


def test_an_undo_brings_back_what_is_held_by_now(shop: Scenario) -> None:
    before = shop.contents("salesData")
    run = shop.run_through(purge())
    hold(shop)
    assert shop.undo(run).state == "undone"
    assert shop.contents("salesData") == before


def test_an_undo_does_not_overwrite_what_is_held_by_now(shop: Scenario) -> None:
    run = shop.run_through(negative_values())
    hold(shop)
    assert shop.undo(run).state == "undone"
    with shop.engine.database.transaction() as session:
        totals = claims.totals(session, run.id, "undo")
    assert (totals.changed, totals.changed_since) == (36, 4)
    unchanged = shop.shop.salesData.find({"quantity": 0})
    assert sorted(record["_id"] for record in unchanged) == HELD


def test_a_preview_says_what_an_undo_would_do_with_what_is_held(shop: Scenario) -> None:
    run = shop.run_through(negative_values())
    hold(shop)
    told = {one.key: one.code for one in undoing.preview(shop.engine, run, ())}
    assert sorted(key for key, code in told.items() if code == "held") == HELD
    assert sum(code is None for code in told.values()) == RECORDS - len(HELD)


def test_an_archive_with_what_is_held_outlives_its_time(shop: Scenario) -> None:
    before = shop.contents("salesData")
    run = shop.run_through(purge())
    hold(shop)
    expire_archive(shop, run)
    shop.advance(run.id)
    expire_archive(shop, run)
    kept = shop.advance(run.id)
    assert kept.key is not None
    assert [e.action for e in shop.entries(run.id)].count("archive_kept") == 1
    release(shop)
    assert shop.undo(kept).state == "undone"
    assert shop.contents("salesData") == before


def test_an_archive_is_destroyed_in_its_time_when_nothing_in_it_is_held(shop: Scenario) -> None:
    run = shop.run_through(purge())
    hold(shop, "somebody-else")
    expire_archive(shop, run)
    assert shop.advance(run.id).key is None


def test_an_altered_archive_is_kept_while_any_hold_stands(shop: Scenario, tmp_path: Path) -> None:
    run = shop.run_through(purge())
    ref = objects.changed(shop.chunks(run.id)[0])[0]
    (tmp_path / "archive" / ref.name).write_bytes(b"altered")
    hold(shop, "somebody-else")
    expire_archive(shop, run)
    assert shop.advance(run.id).key is not None


def test_archives_are_counted_among_what_a_hold_protects(shop: Scenario) -> None:
    run = shop.run_through(purge())
    found = {match.place: match.records for match in holding.matches(shop.engine, ("userId", USER))}
    assert found["mongo/salesData"] == 0
    assert found[f"the archive of r-{run.id}"] == len(HELD)


def test_an_object_id_is_held_whether_it_is_stored_as_one_or_as_text(shop: Scenario) -> None:
    user = ObjectId()
    shop.shop.salesData.insert_many(
        [
            {"_id": 100, "userId": user, "createdAt": old(3000)},
            {"_id": 101, "userId": str(user), "createdAt": old(3000)},
        ]
    )
    hold(shop, str(user))
    shop.run_through(purge())
    assert left(shop) == [100, 101]


def test_a_collection_of_which_nobody_said_what_a_hold_means_is_not_changed(
    shop: Scenario,
) -> None:
    shop.shop.carts.insert_one({"_id": 1, "createdAt": old(3000)})
    shop.shop.carts.create_index("createdAt")
    options = {
        "collection": "carts",
        "select": {"older_than": {"field": "createdAt", "age": "2555d"}},
    }
    carts = frozen_policy(policy_text(job="retention_purge", options=options))
    hold(shop)
    run_id = shop.request(carts)
    with pytest.raises(HoldUndeclared, match="does not say which field of mongo/carts"):
        shop.advance(run_id)
    assert shop.run(run_id).state == "failed"
    release(shop)
    assert shop.run_through(carts).state == "succeeded"


def test_security_jobs_are_exempt(shop: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(RetentionPurge, "security", True)
    hold(shop)
    shop.run_through(purge())
    assert left(shop) == []


def test_a_resumed_run_spares_what_was_held_in_between(shop: Scenario) -> None:
    run_id = shop.request(purge(chunk=10))
    plan = shop.run(run_id)
    assert plan.state == "queued"
    applying_once = claims.progress
    seen: list[int] = []

    def fails(*arguments: Any) -> claims.Leave | None:
        seen.append(1)
        if len(seen) == 2:
            raise RuntimeError("a job that raises")
        return applying_once(*arguments)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(claims, "progress", fails)
        failed = shop.advance(run_id)
    assert failed.state == "failed"
    hold(shop)
    assert shop.resume(failed).state == "succeeded"
    assert [number for number in left(shop) if number not in HELD] == []
    assert set(left(shop)) >= set(HELD[1:])


def test_entries_name_the_case_and_never_the_value(shop: Scenario) -> None:
    hold(shop)
    release(shop)
    with shop.engine.database.transaction() as session:
        entries = list(session.scalars(select(Entry).where(Entry.action.like("hold_%"))))
    assert [entry.action for entry in entries] == ["hold_added", "hold_released"]
    for entry in entries:
        assert b"CASE-1" in entry.body
        assert USER.encode() not in entry.body


def test_matches_are_counted_in_each_collection_that_names_the_subject(shop: Scenario) -> None:
    shop.shop.users.insert_one({"_id": USER})
    shop.shop.sessions.create_index("lastActivity", name="ttl", expireAfterSeconds=60)
    found = {match.place: match for match in holding.matches(shop.engine, ("userId", USER))}
    assert found["mongo/users"].records == 1
    assert found["mongo/salesData"].records == len(HELD)
    assert (found["mongo/sessions"].records, found["mongo/sessions"].ttl_indexes) == (0, ("ttl",))
    assert "mongo/oauthstates" not in found
