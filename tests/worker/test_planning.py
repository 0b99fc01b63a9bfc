"""Planning: frozen, read-only, judged whole; a preview is exactly what will happen."""

import json
from pathlib import Path
from typing import Any

import pytest
from bson import decode
from pymongo import MongoClient
from pymongo.errors import OperationFailure
from sqlalchemy import delete, select

from tests.worker.scenario import (
    NOW,
    TESTER,
    Scenario,
    negative_values,
    old,
    policy_text,
    purge,
    sessions,
    text_dates,
)
from worker import advance, operations, planner, runs
from worker.errors import (
    CollectionMissing,
    ForbiddenArrow,
    GuardRefused,
    IndexMissing,
    PolicyChanged,
    TargetRefused,
    TargetUnreachable,
)
from worker.planner import payload_name
from worker.registry import frozen_policy
from worker.runs import Request
from worker.states import State
from worker.tables import Doorbell, Run
from worker.targets.mongo import MongoTarget
from worker.waiting import waiting_for

pytestmark = pytest.mark.sqlite_control


def fill(scenario: Scenario, aged: int, young: int) -> None:
    scenario.shop.salesData.insert_many(
        [{"createdAt": old(3000 + number)} for number in range(aged)]
        + [{"createdAt": old(1)} for _ in range(young)]
    )


def preview(run: Run) -> dict[str, Any]:
    assert run.preview is not None
    return run.preview


def test_a_plan_stops_at_planned_and_writes_nothing(scenario: Scenario) -> None:
    fill(scenario, 60, 40)
    before = scenario.contents("salesData")
    run = scenario.plan(purge())
    assert run.state == "planned"
    assert (run.planned, run.population) == (60, 100)
    assert scenario.contents("salesData") == before
    assert set(scenario.shop.list_collection_names()) == {"salesData", "sessions"}


def test_a_plan_names_its_cutoff_and_its_oldest_and_newest(scenario: Scenario) -> None:
    fill(scenario, 5, 1)
    run = scenario.plan(purge())
    assert run.cutoff == old(2555)
    assert preview(run)["oldest"] == old(3004).isoformat()
    assert preview(run)["newest"] == old(3000).isoformat()


def test_chunks_hold_each_key_once_and_sealed(scenario: Scenario) -> None:
    fill(scenario, 60, 0)
    run = scenario.plan(purge(chunk=25))
    chunks = scenario.chunks(run.id)
    assert [chunk.items for chunk in chunks] == [25, 25, 10]
    key = scenario.engine.keyring.unwrap(run.key or b"")
    keys: set[Any] = set()
    for chunk in chunks:
        assert chunk.payload is not None
        plain = key.open(chunk.payload, payload_name(run, chunk.number))
        keys |= set(decode(plain)["keys"])
    assert keys == {record["_id"] for record in scenario.shop.salesData.find()}


def test_two_plans_of_the_same_records_at_one_moment_have_one_digest(scenario: Scenario) -> None:
    fill(scenario, 30, 3)
    first, second = scenario.plan(purge()), scenario.plan(purge())
    assert first.digest == second.digest
    scenario.shop.salesData.delete_one({"createdAt": old(3005)})
    assert scenario.plan(purge()).digest != first.digest


@pytest.mark.parametrize(
    ("guards", "reason"),
    [
        ({"max_records": 59, "max_percent": 100}, "max_records allows 59 records"),
        ({"max_records": 0, "max_percent": 100}, "max_records allows 0 records"),
        ({"max_records": 60, "max_percent": 59}, "max_percent allows 59 %"),
        ({"max_records": 60, "max_percent": 0}, "max_percent allows 0 %"),
    ],
)
def test_a_guard_refuses_before_the_first_change(
    scenario: Scenario, tmp_path: Path, guards: dict[str, Any], reason: str
) -> None:
    fill(scenario, 60, 40)
    before = scenario.contents("salesData")
    run = scenario.run_through(purge(guards=guards))
    assert run.state == "refused"
    assert reason in (run.refusal or "")
    assert (run.planned, run.population) == (60, 100)
    assert scenario.contents("salesData") == before
    assert not (tmp_path / "archive").exists()


def test_a_plan_exactly_at_its_guards_passes(scenario: Scenario) -> None:
    fill(scenario, 60, 40)
    run = scenario.run_through(purge(guards={"max_records": 60, "max_percent": 60}))
    assert run.state == "succeeded"


def test_a_guard_of_zero_allows_an_empty_plan(scenario: Scenario) -> None:
    fill(scenario, 0, 4)
    run = scenario.run_through(purge(guards={"max_records": 0, "max_percent": 0}))
    assert run.state == "succeeded"


def test_a_population_that_shrank_since_the_plan_trips_the_guard_before_the_write(
    scenario: Scenario,
) -> None:
    fill(scenario, 10, 90)
    plan = scenario.plan(purge(guards={"max_records": 50, "max_percent": 15}))
    scenario.shop.salesData.delete_many({"createdAt": {"$gt": old(2555)}})
    before = scenario.contents("salesData")
    run = scenario.apply(plan)
    assert run.state == "failed"
    assert "max_percent allows 15 %" in (run.error or "")
    assert scenario.contents("salesData") == before


def test_a_preview_shows_sums_before_and_after(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [{"quantity": -3, "revenue": 1.1}, {"quantity": 2, "revenue": -0.2}, {"quantity": -1}]
    )
    sums = preview(scenario.plan(negative_values()))["sums"]
    assert sums == {
        "quantity": {"before": "-4", "after": "0"},
        "revenue": {"before": "-0.2", "after": "0"},
    }


def test_a_preview_counts_what_will_be_left(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many([{"date": "2021-03-04"}, {"date": "n/a"}, {"date": "?"}])
    assert preview(scenario.plan(text_dates()))["will_fail"] == {"not_a_date": 2}


def test_a_sample_is_sealed_and_shows_only_what_the_policy_reads(scenario: Scenario) -> None:
    scenario.shop.sessions.insert_one(
        {"sessionId": "secret-session", "isActive": False, "expiresAt": old(1), "email": "a@b.org"}
    )
    run = scenario.plan(sessions())
    key = scenario.engine.keyring.unwrap(run.key or b"")
    shown = json.loads(key.open(run.sample or b"", f"{run.token}/sample"))
    assert [set(example["before"]) for example in shown] == [{"isActive", "expiresAt"}]
    assert shown[0]["after"] is None
    assert b"secret-session" not in (run.sample or b"")


def test_a_collection_that_does_not_exist_fails_with_a_sentence(scenario: Scenario) -> None:
    options = {
        "collection": "salesdata",
        "select": {"older_than": {"field": "createdAt", "age": "1d"}},
    }
    policy = frozen_policy(policy_text(job="retention_purge", options=options))
    run_id = scenario.request(policy, apply=False)
    with pytest.raises(CollectionMissing, match="collection salesdata does not exist"):
        scenario.advance(run_id)
    assert scenario.run(run_id).state == "failed"
    assert "salesdata does not exist" in (scenario.run(run_id).error or "")


def test_a_missing_index_is_named_with_the_command_that_creates_it(scenario: Scenario) -> None:
    fill(scenario, 3, 1)
    scenario.shop.salesData.drop_index("createdAt_1")
    run_id = scenario.request(purge(), apply=False)
    with pytest.raises(IndexMissing, match=r'db.salesData.createIndex\({"createdAt": 1}\);'):
        scenario.advance(run_id)


def test_each_alternative_of_a_selector_needs_its_index(scenario: Scenario) -> None:
    scenario.shop.sessions.insert_one({"isActive": False, "expiresAt": old(1)})
    scenario.shop.sessions.drop_index("isActive_1")
    run_id = scenario.request(sessions(), apply=False)
    with pytest.raises(IndexMissing, match=r'createIndex\({"isActive": 1}\); or look'):
        scenario.advance(run_id)


def test_an_unreachable_target_is_one_sentence() -> None:
    target = MongoTarget("mongodb://127.0.0.1:1/shop?serverSelectionTimeoutMS=200")
    with pytest.raises(TargetUnreachable, match="does not answer; check the server"):
        target.ping()
    target.close()


def test_a_wrong_password_is_one_sentence_without_the_password(mongo_url: str) -> None:
    user, _, rest = mongo_url.partition("@")
    wrong = f"{user.rsplit(':', 1)[0]}:wrong-secret@{rest}"
    target = MongoTarget(wrong)
    with pytest.raises(TargetRefused, match="refused the user or password") as caught:
        target.population("salesData")
    assert "wrong-secret" not in str(caught.value)
    target.close()


def test_a_changed_policy_text_refuses_the_plan(scenario: Scenario) -> None:
    fill(scenario, 3, 1)
    plan = scenario.plan(purge())
    with pytest.raises(PolicyChanged, match="was changed after"):
        operations.apply(scenario.engine.database, plan.id, purge(undo="8d"), TESTER, inline=True)


def test_a_plan_is_applied_once(scenario: Scenario) -> None:
    fill(scenario, 3, 1)
    run = scenario.apply(scenario.plan(purge()))
    with pytest.raises(ForbiddenArrow, match="cannot be applied"):
        scenario.apply(run)


def test_a_refused_plan_cannot_be_applied(scenario: Scenario) -> None:
    fill(scenario, 3, 1)
    run = scenario.plan(purge(guards={"max_records": 0, "max_percent": 0}))
    with pytest.raises(GuardRefused, match="max_records allows 0"):
        scenario.apply(run)


def test_a_policy_that_wants_approval_waits_for_it(scenario: Scenario) -> None:
    fill(scenario, 3, 1)
    run = scenario.run_through(purge(approval="required"))
    assert run.state == "awaiting_approval"
    assert scenario.shop.salesData.count_documents({}) == 4


def test_a_plan_that_nobody_applies_expires_and_its_keys_go(scenario: Scenario) -> None:
    fill(scenario, 3, 1)
    plan = scenario.plan(purge())
    with scenario.engine.database.transaction() as session:
        session.get_one(Run, plan.id).expires_at = old(1)
    assert scenario.advance(plan.id).state == "expired"
    scenario.advance(plan.id)
    assert scenario.run(plan.id).key is None


def test_two_runs_of_one_policy_go_one_after_the_other(scenario: Scenario) -> None:
    fill(scenario, 30, 1)
    first, second = scenario.request(purge()), scenario.request(purge())
    assert scenario.advance(second).state == "queued"
    assert scenario.advance(first).state == "succeeded"
    assert scenario.advance(second).state == "succeeded"
    assert scenario.run(second).planned == 0


def test_two_policies_write_to_one_collection_one_after_the_other(scenario: Scenario) -> None:
    fill(scenario, 30, 1)
    scenario.shop.salesData.insert_many([{"quantity": -1, "revenue": 1.0} for _ in range(5)])
    first = scenario.request(purge())
    assert advance.plan(scenario.engine, first)
    second = scenario.request(negative_values(name="another-policy"))
    assert scenario.advance(second).state == "queued"
    with scenario.engine.database.transaction() as session:
        waits = waiting_for(session, scenario.run(second))
    assert waits == f"r-{first} (under-test), which is applying"
    assert scenario.plan(negative_values(name="only-looking")).state == "planned"
    scenario.advance(first)
    assert scenario.advance(second).state == "succeeded"


def test_a_run_that_is_over_wakes_the_one_that_waited_for_it(scenario: Scenario) -> None:
    fill(scenario, 30, 1)
    first = scenario.request(purge())
    waiting = Request(purge(), "test", "schedule", TESTER.actor, "scheduled", apply_after_plan=True)
    with scenario.engine.database.transaction() as session:
        second = runs.create(session, waiting).id
        session.execute(delete(Doorbell))
    scenario.advance(first)
    with scenario.engine.database.transaction() as session:
        assert set(session.scalars(select(Doorbell.run_id))) == {second}


def test_a_run_that_writes_no_more_wakes_the_oldest_of_each_policy_that_waited(
    scenario: Scenario,
) -> None:
    fill(scenario, 3, 1)
    first = scenario.request(purge())
    assert advance.plan(scenario.engine, first)
    policies = [*(negative_values(name="another") for _ in range(2)), text_dates(name="third")]
    with scenario.engine.database.transaction() as session:
        ids = [
            runs.create(session, Request(each, "test", "manual", TESTER.actor, "x", True)).id
            for each in policies
        ]
        session.execute(delete(Doorbell))
        run = runs.get(session, first)
        runs.move(session, run, State.VERIFYING, TESTER.actor)
        assert set(session.scalars(select(Doorbell.run_id))) == {ids[0], ids[2]}


def test_a_planner_that_died_is_replaced_when_its_lease_ends(scenario: Scenario) -> None:
    fill(scenario, 30, 1)
    run_id = scenario.request(purge())
    assert planner.begin(scenario.engine, run_id) is not None
    assert scenario.advance(run_id).state == "planning"
    scenario.expire_leases()
    assert scenario.advance(run_id).state == "succeeded"


@pytest.mark.parametrize(("stays", "state"), [(True, "succeeded"), (False, "planned")])
def test_a_policy_disabled_while_its_run_waits_only_observes(
    scenario: Scenario, stays: bool, state: str
) -> None:
    fill(scenario, 30, 1)
    db = scenario.engine.database
    operations.enable(db, purge(), TESTER)
    fired = Request(
        purge(), "test", "schedule", TESTER.actor, "scheduled", apply_after_plan=True, inline=True
    )
    with db.transaction() as session:
        run_id = runs.create(session, fired).id
    if not stays:
        operations.disable(db, purge(), TESTER)
    assert scenario.advance(run_id).state == state
    assert scenario.shop.salesData.count_documents({}) == (1 if stays else 31)


def test_a_plan_cut_off_by_a_deploy_uses_up_no_rescue(scenario: Scenario) -> None:
    fill(scenario, 30, 1)
    run_id = scenario.request(purge())
    scenario.engine.draining.set()
    assert not advance.plan(scenario.engine, run_id)
    scenario.engine.draining.clear()
    assert (scenario.run(run_id).state, scenario.run(run_id).lease_until) == ("planning", None)
    run = scenario.advance(run_id)
    assert (run.state, run.rescues, run.planned) == ("succeeded", 0, 30)


def test_a_plan_reads_through_a_user_that_cannot_write(
    scenario: Scenario, mongo_read_url: str
) -> None:
    fill(scenario, 3, 1)
    reader = MongoClient[dict[str, Any]](mongo_read_url)
    with reader, pytest.raises(OperationFailure, match="not authorized"):
        reader.get_default_database().salesData.insert_one({})
    assert scenario.plan(purge()).planned == 3


def test_narrowing_shows_in_the_plan(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many(
        [{"createdAt": old(3000), "storeId": f"s{number % 3}"} for number in range(30)]
    )
    where = {"equals": {"field": "storeId", "value": "s1"}}
    run = scenario.plan(purge(), where=where)
    assert run.planned == 10
    assert run.as_of == NOW
