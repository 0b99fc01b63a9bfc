"""Runs of orphans: what stops them, and what a child or a parent may do meanwhile."""

import json
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId

from policies.models import Policy
from tests.worker.scenario import NOW, TESTER, Scenario, old, policy_text
from tests.worker.test_holds import hold
from worker import advance, approval, guards
from worker.archive import ArchiveStore
from worker.cli import plans, runs
from worker.cli.output import console
from worker.errors import GuardRefused, ParentUnusable, TargetRefused, TargetUnreachable, UsageError
from worker.present import plan_as_json, run_as_json
from worker.registry import frozen_policy
from worker.tables import Run

pytestmark = pytest.mark.sqlite_control

PARENTS = 20


def orphans(*, min_age: str = "1h", **parts: Any) -> Policy:
    options = {
        "collection": "salesData",
        "field": "userId",
        "parent": "users",
        "min_age": min_age,
        "dated_by": "createdAt",
    }
    return frozen_policy(policy_text(job="orphan_repair", options=options, **parts))


@pytest.fixture
def shop(scenario: Scenario) -> Scenario:
    """Users 1 to 20, a sale of each, and sales of users 21 to 60, who do not exist."""
    scenario.shop.salesData.create_index("userId")
    scenario.shop.users.insert_many([{"_id": number} for number in range(1, PARENTS + 1)])
    scenario.shop.salesData.insert_many(
        [{"_id": number, "userId": number, "createdAt": old(1)} for number in range(1, 61)]
    )
    return scenario


def kept(shop: Scenario) -> list[Any]:
    return sorted(shop.shop.salesData.distinct("_id"))


def counts(shop: Scenario, run: Run) -> dict[str, Any]:
    with shop.engine.database.transaction() as session:
        document = run_as_json(session, shop.run(run.id))
    return {"changed": document["changed"], **document["skipped"]}


def preview(run: Run) -> dict[str, Any]:
    assert run.preview is not None
    return run.preview


def test_orphans_go_and_come_back(shop: Scenario) -> None:
    before = shop.contents("salesData")
    run = shop.run_through(orphans())
    assert (run.state, run.planned, run.population) == ("succeeded", 40, 60)
    assert kept(shop) == list(range(1, PARENTS + 1))
    assert run.remaining is not None
    assert run.remaining["total"] == 0
    assert shop.undo(run).state == "undone"
    assert shop.contents("salesData") == before


def test_what_can_be_no_key_of_a_user_is_counted_shown_and_left(
    shop: Scenario, capsys: pytest.CaptureFixture[str]
) -> None:
    odd: list[dict[str, Any]] = [
        *({"userId": None} for _ in range(3)),
        *({} for _ in range(2)),
        *({"userId": str(number)} for number in range(14)),
        {"userId": float("nan")},
        {"userId": [21]},
        {"userId": ObjectId()},
    ]
    shop.shop.salesData.insert_many([{**record, "createdAt": old(1)} for record in odd])
    reported = {"missing": 2, "nan": 1, "null": 3, "type_array": 1}
    reported |= {"type_objectId": 1, "type_string": 14}
    run = shop.run_through(orphans())
    assert run.planned == 40
    assert preview(run)["reported"] == reported
    assert shop.shop.salesData.count_documents({}) == PARENTS + len(odd)
    with shop.engine.database.transaction() as session:
        document = run_as_json(session, run)
    plan = plan_as_json(run, shop.engine.keyring)
    assert plan is not None
    assert document["reported"] == plan["reported"] == reported
    plans.show_plan(console(), document, plan)
    runs.show_run(console(), document)
    shown = "2 missing, 1 nan, 3 null, 1 type_array, 1 type_objectId, 14 type_string"
    assert "".join(capsys.readouterr().out.split()).count("".join(shown.split())) == 2


def test_an_orphan_is_left_until_it_is_old_enough(shop: Scenario) -> None:
    def made(minutes: float) -> ObjectId:
        head = ObjectId.from_datetime(NOW - timedelta(minutes=minutes)).binary[:4]
        return ObjectId(head + ObjectId().binary[4:])

    young, aged = NOW - timedelta(minutes=59), NOW - timedelta(minutes=61)
    records: dict[str, dict[str, Any]] = {
        "aged": {"createdAt": aged},
        "young": {"_id": made(99), "createdAt": young},
        "from tomorrow": {"createdAt": old(-1)},
        "no date, aged by its id": {"_id": made(61)},
        "text for a date, aged by its id": {"_id": made(61), "createdAt": "2020-01-01"},
        "no date, young by its id": {"_id": made(59)},
        "no date, and an id without one": {"_id": "plain"},
    }
    shop.shop.salesData.delete_many({})
    shop.shop.salesData.insert_many(
        [{"userId": 99, "name": name, **record} for name, record in records.items()]
    )
    run = shop.run_through(orphans())
    assert run.cutoff == NOW - timedelta(hours=1)
    assert set(shop.shop.salesData.distinct("name")) == {
        "young",
        "from tomorrow",
        "no date, young by its id",
        "no date, and an id without one",
    }


# Parents that cannot be believed.


def refused(shop: Scenario, policy: Policy) -> Run:
    run_id = shop.request(policy)
    with pytest.raises(ParentUnusable):
        advance.advance(shop.engine, run_id)
    return shop.run(run_id)


def test_an_empty_parent_collection_refuses_the_run_in_one_sentence(shop: Scenario) -> None:
    shop.shop.users.delete_many({})
    run = refused(shop, orphans())
    assert (run.state, run.planned, run.digest) == ("refused", 0, None)
    assert run.refusal is not None
    assert run.refusal.endswith("every record of salesData would look like an orphan")
    assert shop.chunks(run.id) == []
    assert [entry.action for entry in shop.entries(run.id)][-1] == "run_refused"
    assert len(kept(shop)) == 60


def test_a_run_that_was_refused_before_its_plan_cannot_be_overridden(shop: Scenario) -> None:
    shop.shop.users.delete_many({})
    run = refused(shop, orphans())
    database = shop.engine.database
    with pytest.raises(UsageError, match="refused before it had a plan"):
        approval.override(database, run.id, "max_records", orphans(), TESTER)
    assert shop.run(run.id).state == "refused"


def test_a_renamed_parent_collection_refuses_the_run(shop: Scenario) -> None:
    shop.shop.users.rename("accounts")
    assert "users does not exist" in (refused(shop, orphans()).refusal or "")


def test_a_view_in_place_of_the_parents_refuses_the_run(shop: Scenario) -> None:
    shop.shop.users.rename("accounts")
    shop.shop.create_collection("users", viewOn="accounts", pipeline=[])
    assert "users is a view" in (refused(shop, orphans()).refusal or "")


def test_parents_that_go_before_the_first_write_stop_the_run(shop: Scenario) -> None:
    plan = shop.plan(orphans())
    shop.shop.users.rename("accounts")
    run = shop.apply(plan)
    assert run.state == "failed"
    assert "users does not exist" in (run.error or "")
    assert len(kept(shop)) == 60


@pytest.mark.parametrize(("gone", "state"), [(2, "succeeded"), (3, "failed")])
def test_parents_fewer_by_more_than_a_tenth_stop_the_run(
    shop: Scenario, gone: int, state: str
) -> None:
    plan = shop.plan(orphans())
    shop.shop.users.delete_many({"_id": {"$lte": gone}})
    run = shop.apply(plan)
    assert run.state == state
    assert len(kept(shop)) == (60 if state == "failed" else PARENTS)
    if state == "failed":
        assert "users had 20 records when the plan was made and has 17 now" in (run.error or "")


def test_parents_that_shrink_between_two_chunks_stop_the_run_there(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two chunks of 25 and 15; the users go while the first is written."""

    def lose(_number: int) -> None:
        shop.shop.users.delete_many({"_id": {"$gt": 1}})

    on_each_batch(monkeypatch, lose)
    run = shop.run_through(orphans())
    assert run.state == "failed"
    assert "over 10 % fewer" in (run.error or "")
    assert counts(shop, run)["changed"] == 25
    assert shop.undo(run).state == "undone"
    assert len(kept(shop)) == 60


def test_the_parents_are_judged_by_the_share_that_is_left() -> None:
    guards.check_parents({"users": 1_000_000}, {"users": 900_000})
    with pytest.raises(GuardRefused, match=r"1,000,000 records when .* has 899,999 now, over 10 %"):
        guards.check_parents({"users": 1_000_000}, {"users": 899_999})
    guards.check_parents({}, {})


@pytest.mark.parametrize("error", [TargetRefused, TargetUnreachable])
def test_parents_that_cannot_be_read_leave_no_plan(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch, error: type[Exception]
) -> None:
    def fail(*_: Any) -> Any:
        raise error("users cannot be read.")

    monkeypatch.setattr(type(shop.engine.targets["mongo"]), "parents", fail)
    run_id = shop.request(orphans())
    with pytest.raises(error):
        advance.advance(shop.engine, run_id)
    assert (shop.run(run_id).state, shop.chunks(run_id)) == ("failed", [])
    assert len(kept(shop)) == 60


# What happens meanwhile.


def on_each_batch(monkeypatch: pytest.MonkeyPatch, do: Any) -> None:
    """`do(n)` while batch n is open: after its snapshot, before its change."""
    write, number = ArchiveStore.write, iter(range(1_000))

    def written(self: ArchiveStore, *args: Any) -> Any:
        do(next(number))
        return write(self, *args)

    monkeypatch.setattr(ArchiveStore, "write", written)


def test_a_child_whose_parent_has_come_back_stays(shop: Scenario) -> None:
    plan = shop.plan(orphans())
    shop.shop.users.insert_one({"_id": 33})
    run = shop.apply(plan)
    assert counts(shop, run) == {"changed": 39, "changed_since": 1, "gone": 0, "not_reached": 0}
    assert 33 in kept(shop)
    assert run.remaining is not None
    assert run.remaining["total"] == 0


def test_a_parent_made_in_the_middle_of_the_run_saves_its_later_children(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    def arrive(number: int) -> None:
        if number == 0:
            shop.shop.users.insert_one({"_id": 60})

    on_each_batch(monkeypatch, arrive)
    run = shop.run_through(orphans())
    assert counts(shop, run)["changed"] == 39
    assert 60 in kept(shop)


def test_a_parent_made_while_its_child_is_deleted_comes_too_late_but_undo_helps(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The batch's snapshot stands before it, as if the whole batch had been a moment earlier."""

    def arrive(number: int) -> None:
        if number == 0:
            shop.shop.users.insert_one({"_id": 21})

    on_each_batch(monkeypatch, arrive)
    run = shop.run_through(orphans())
    monkeypatch.undo()
    assert (counts(shop, run)["changed"], run.state) == (40, "succeeded")
    assert shop.undo(run).state == "undone"
    assert len(kept(shop)) == 60


def test_a_child_given_to_another_parent_since_the_plan_stays(shop: Scenario) -> None:
    plan = shop.plan(orphans())
    shop.shop.salesData.update_one({"_id": 40}, {"$set": {"userId": 1}})
    shop.shop.salesData.update_one({"_id": 41}, {"$unset": {"userId": 1}})
    run = shop.apply(plan)
    assert counts(shop, run)["changed_since"] == 2
    assert {40, 41} < set(kept(shop))


def test_a_child_orphaned_after_the_plan_waits_for_the_next_run(shop: Scenario) -> None:
    plan = shop.plan(orphans())
    shop.shop.users.delete_one({"_id": 5})
    run = shop.apply(plan)
    assert run.remaining is not None
    assert (run.remaining["total"], run.remaining["not_planned"]) == (1, 1)
    assert 5 in kept(shop)
    assert shop.run_through(orphans()).planned == 1
    assert 5 not in kept(shop)


def test_an_orphan_under_a_hold_stays_and_is_counted(shop: Scenario) -> None:
    hold(shop, "33")
    plan = shop.plan(orphans())
    assert (plan.planned, preview(plan)["held"]) == (39, 1)
    hold(shop, "44", "CASE-2")
    run = shop.apply(plan)
    assert {33, 44} < set(kept(shop))
    assert counts(shop, run)["changed"] == 38
    assert run.remaining is not None
    assert (run.remaining["held"], run.remaining["not_planned"]) == (2, 0)


def test_many_children_of_one_key_all_go(shop: Scenario) -> None:
    shop.shop.salesData.insert_many([{"userId": 77, "createdAt": old(2)} for _ in range(200)])
    run = shop.run_through(orphans())
    assert (run.planned, counts(shop, run)["changed"]) == (240, 240)


def test_a_person_can_narrow_the_orphans(shop: Scenario) -> None:
    run = shop.run_through(orphans(), where={"equals": {"field": "userId", "value": 33}})
    assert (run.planned, 33 in kept(shop)) == (1, False)
    limited = shop.run_through(orphans(), limit=7)
    assert limited.planned == 7
    assert limited.remaining is not None
    assert limited.remaining["not_planned"] == 32


def test_a_retention_can_ask_for_orphans_too(shop: Scenario) -> None:
    select = {
        "all": [
            {"not_in": {"field": "userId", "parent": "users"}},
            {"older_than": {"field": "createdAt", "age": "12h"}},
        ]
    }
    options = {"collection": "salesData", "select": select}
    policy = frozen_policy(policy_text(job="retention_purge", options=options))
    assert shop.run_through(policy).planned == 40
    shop.shop.users.drop()
    refused(shop, policy)


def test_the_plan_says_how_many_parents_there_were(shop: Scenario) -> None:
    run = shop.plan(orphans())
    assert preview(run)["parents"] == {"users": PARENTS}
    assert "users" in json.dumps(run.selector)
