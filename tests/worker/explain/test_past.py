"""What past runs did to a record stands in plans and archives; what was not searched is said."""

import shutil
from pathlib import Path
from typing import Any

import bson
import pytest
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st
from sqlalchemy import update

from tests.worker.explain.test_record import ask
from tests.worker.scenario import (
    Scenario,
    negative_values,
    old,
    policy_text,
    purge,
    sessions,
    text_dates,
)
from worker.explain import past
from worker.explain.past import Past
from worker.explain.store import Store
from worker.registry import frozen_policy
from worker.tables import Run
from worker.targets.record_key import same

MANY = 60


def sales(scenario: Scenario, count: int = MANY) -> None:
    scenario.shop.salesData.insert_many(
        [{"_id": number, "createdAt": old(3000), "quantity": -1} for number in range(count)]
    )


def search(scenario: Scenario, *keys: Any, seconds: float = 10) -> Past:
    engine = scenario.engine
    store = Store(engine.database, engine.archive, engine.keyring)
    return past.search(store, "mongo/salesData", keys, seconds)


def outcome(scenario: Scenario, key: Any) -> dict[str, Any]:
    (found,) = search(scenario, key).found
    return found


def test_a_deleted_record_is_found_in_each_chunk_and_batch(scenario: Scenario) -> None:
    sales(scenario)
    run = scenario.run_through(purge())
    for key in (0, 9, 10, 24, 25, MANY - 1):
        found = outcome(scenario, key)
        assert (found["run"], found["outcome"], found["undo"]) == (f"r-{run.id}", "deleted", None)
        assert found["state"] == "succeeded"
    assert search(scenario, MANY).found == []


def test_a_record_that_is_gone_still_has_its_past(scenario: Scenario) -> None:
    sales(scenario, 3)
    scenario.run_through(purge())
    told = ask(scenario, "mongo/salesData/2", purge())
    assert told["records"] == []
    assert [each["outcome"] for each in told["runs"]] == ["deleted"]


def test_a_repair_says_which_fields_it_wrote(scenario: Scenario) -> None:
    sales(scenario)
    scenario.run_through(negative_values())
    found = outcome(scenario, 30)
    assert (found["outcome"], found["wrote"]) == ("changed", ["quantity"])


def test_what_was_left_says_why(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [{"_id": 1, "date": "soon"}, {"_id": 2, "date": "2024-01-01"}]
    )
    plan = scenario.plan(text_dates())
    scenario.shop.salesData.delete_one({"_id": 2})
    scenario.apply(plan)
    assert (outcome(scenario, 1)["outcome"], outcome(scenario, 1)["code"]) == (
        "failed",
        "not_a_date",
    )
    assert outcome(scenario, 2)["outcome"] == "gone"


def test_an_undo_is_told_with_its_conflicts(scenario: Scenario) -> None:
    sales(scenario)
    run = scenario.run_through(purge())
    scenario.shop.salesData.insert_one({"_id": 33, "mine": "new"})
    scenario.undo(run)
    assert (outcome(scenario, 32)["undo"], outcome(scenario, 33)["undo"]) == (
        "restored",
        "conflict",
    )


def test_a_waiting_plan_says_that_the_record_is_in_it(scenario: Scenario) -> None:
    sales(scenario)
    run = scenario.plan(purge())
    found = outcome(scenario, 40)
    assert (found["outcome"], found["state"]) == ("planned", "planned")
    assert found["waiting_for"] == f"`tend apply r-{run.id}`"


def test_a_run_cut_short_tells_what_it_did_and_what_it_only_planned(scenario: Scenario) -> None:
    sales(scenario)
    run = scenario.plan(purge(batch={"records": 10, "pause": "1s"}))
    scenario.apply_later(run)
    scenario.engine.draining.set()
    scenario.advance(run.id)
    scenario.engine.draining.clear()
    assert outcome(scenario, MANY - 1)["outcome"] == "planned"


def test_runs_are_told_newest_first(scenario: Scenario) -> None:
    sales(scenario)
    first = scenario.run_through(negative_values())
    second = scenario.run_through(purge())
    found = search(scenario, 7)
    assert [each["run"] for each in found.found] == [f"r-{second.id}", f"r-{first.id}"]
    assert (found.searched, found.oldest_searched, found.not_searched) == (2, first.id, 0)


def test_a_run_past_its_time_tells_nothing_and_is_counted(scenario: Scenario) -> None:
    sales(scenario)
    run = scenario.run_through(purge())
    with scenario.engine.database.transaction() as session:
        session.execute(update(Run).where(Run.id == run.id).values(key=None))
    found = search(scenario, 7)
    assert (found.found, found.searched, found.destroyed) == ([], 0, 1)


def test_a_search_that_may_take_no_time_says_what_it_left_out(scenario: Scenario) -> None:
    sales(scenario)
    scenario.run_through(negative_values())
    scenario.run_through(purge())
    found = search(scenario, 7, seconds=0)
    assert (found.found, found.searched, found.not_searched) == ([], 0, 2)


def test_an_archive_that_cannot_be_read_is_named_and_hides_nothing_else(
    scenario: Scenario, tmp_path: Path
) -> None:
    sales(scenario)
    first = scenario.run_through(negative_values())
    second = scenario.run_through(purge())
    shutil.rmtree(tmp_path / "archive" / second.token)
    found = search(scenario, 7)
    assert [each["run"] for each in found.found] == [f"r-{first.id}"]
    assert found.unreadable[0].startswith(f"r-{second.id}: Archive object")


def test_a_session_that_is_gone_is_found_by_the_id_it_had(scenario: Scenario) -> None:
    scenario.shop.sessions.insert_many(
        [
            {"_id": ObjectId(), "sessionId": f"s-{number}", "isActive": False, "expiresAt": old(1)}
            for number in range(MANY)
        ]
    )
    scenario.run_through(sessions())
    told = ask(scenario, "mongo/sessions/s-41", sessions())
    assert told["records"] == []
    assert [(each["outcome"], each["key_type"]) for each in told["runs"]] == [
        ("deleted", "ObjectId")
    ]
    assert ask(scenario, "mongo/sessions/s-99", sessions())["runs"] == []


@pytest.mark.parametrize("key", ["text", "", "5", "ü" * 40, ObjectId(), -1, 2**40, 0])
def test_every_type_of_key_is_found_and_no_other(scenario: Scenario, key: Any) -> None:
    others = ["other", ObjectId(), 7, 7.5, {"a": 1}, b"raw", old(1)]
    scenario.shop.salesData.insert_many(
        [{"_id": each, "createdAt": old(3000)} for each in [*others, key]]
    )
    scenario.run_through(purge())
    assert len(search(scenario, key).found) == 1
    assert search(scenario, "absent", ObjectId(), 8, 2**50).found == []


@given(key=st.integers(-(2**53), 2**53))
def test_a_number_is_recognized_however_a_plan_holds_it(key: int) -> None:
    """Integers of four and eight bytes and doubles compare equal in MongoDB, and so here."""
    needles = list(past._needles(key))  # noqa: SLF001 - what lets a plan be passed over
    for held in (key, bson.Int64(key), float(key)):
        payload = bson.encode({"keys": [held]})
        assert any(needle in payload for needle in needles)
        assert same(held, key)


def test_what_was_removed_from_a_record_or_moved_away_is_told(scenario: Scenario) -> None:
    repairs = [
        {"field": "quantity", "when": "negative", "unset": True},
        {"field": "revenue", "when": "negative", "quarantine": "30d"},
    ]
    options = {"collection": "salesData", "repairs": repairs}
    policy = frozen_policy(policy_text(job="value_repair", options=options))
    scenario.shop.salesData.insert_many([{"_id": 1, "quantity": -1}, {"_id": 2, "revenue": -1}])
    assert scenario.run_through(policy).state == "succeeded"
    assert (outcome(scenario, 1)["outcome"], outcome(scenario, 1)["wrote"]) == (
        "changed",
        ["quantity"],
    )
    assert outcome(scenario, 2)["outcome"] == "quarantined"
