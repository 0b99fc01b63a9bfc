"""Accounts that go with everything that belongs to them: which, how far, and what comes back."""

from collections.abc import Callable
from typing import Any

import pytest
from bson import ObjectId

from policies.models import Batch, Guards
from tests.mongo_databases import Indexes
from tests.worker import accounts
from tests.worker.accounts import LATELY, LONG_AGO, add, cascade, everything, left, owned
from tests.worker.scenario import NOW, TESTER, Scenario, old, sessions
from worker import claims, holding, operations, present
from worker.audit.verify import verify
from worker.claims import Claim, Leave
from worker.errors import CollectionMissing, IndexMissing
from worker.identity import DEVELOPMENT
from worker.indexes.wanted import needs
from worker.present import Document
from worker.tables import OUTCOMES, Run
from worker.targets.base import BatchRecord

pytestmark = pytest.mark.sqlite_control

SMALL = Batch(records=5)
BOTH = ("inactive-accounts", "deleted-accounts")


@pytest.fixture
def mongo_indexes() -> Indexes:
    return accounts.PREPARED


def shown(scenario: Scenario, run: Run) -> Document:
    with scenario.engine.database.transaction() as session:
        return present.run_as_json(session, scenario.run(run.id))


def test_an_account_goes_with_everything_that_belongs_to_it(scenario: Scenario) -> None:
    add(scenario, "gone", children={"sessions": 3, "forecasts": 2, "salesData": 7, "stores": 1})
    add(scenario, "stays", LATELY, children={"sessions": 2, "salesData": 2})
    run = scenario.run_through(cascade())
    assert run.state == "succeeded", run.error
    assert (run.planned, run.population) == (1, 2)
    assert left(scenario) == {
        "users": 1,
        "sessions": 2,
        "forecasts": 0,
        "salesData": 2,
        "stores": 0,
    }
    document = shown(scenario, run)
    assert document["changed"] == 1
    assert document["cascade"] == {"sessions": 3, "stores": 1, "forecasts": 2, "salesData": 7}


def test_more_children_than_a_batch_holds_go_step_by_step_and_come_back(scenario: Scenario) -> None:
    add(scenario, "gone", children={"sessions": 4, "salesData": 31})
    before = everything(scenario)
    run = scenario.run_through(cascade(batch=SMALL))
    assert run.state == "succeeded", run.error
    assert sum(left(scenario).values()) == 0
    (chunk,) = scenario.chunks(run.id)
    assert (chunk.changed, chunk.children, len(chunk.archives)) == (1, 35, 8)
    undone = scenario.undo(run)
    assert undone.state == "undone", undone.error
    assert everything(scenario) == before
    assert shown(scenario, run)["cascade_restored"] == {"sessions": 4, "salesData": 31}


@pytest.mark.parametrize("collection", accounts.INDEXES)
def test_one_sign_of_life_anywhere_keeps_an_account(scenario: Scenario, collection: str) -> None:
    add(scenario, "kept", children={"sessions": 1, "salesData": 1})
    owned(scenario, collection, "kept", LATELY)
    add(scenario, "gone")
    run = scenario.run_through(cascade())
    assert (run.state, run.planned) == ("succeeded", 1)
    assert scenario.shop.users.distinct("_id") == ["kept"]


def test_an_account_without_any_sign_counts_from_its_creation(scenario: Scenario) -> None:
    young, aged = ObjectId.from_datetime(LATELY), ObjectId.from_datetime(LONG_AGO)
    for key in ("born long ago", "born lately", "nobody knows when", young, aged):
        add(scenario, key, None)
    users = scenario.shop.users
    users.update_one({"_id": "born long ago"}, {"$set": {"createdAt": LONG_AGO}})
    users.update_one({"_id": "born lately"}, {"$set": {"createdAt": LATELY}})
    add(scenario, "old sales, and a young record of it", None, {"salesData": 12}, createdAt=LATELY)
    run = scenario.run_through(cascade(batch=SMALL))
    assert run.state == "succeeded", run.error
    assert set(users.distinct("_id")) == {"born lately", "nobody knows when", young}


@pytest.mark.parametrize(
    ("collection", "value"), [("sessions", "2026-11-01"), ("salesData", 20261101), ("users", "now")]
)
def test_a_date_that_cannot_be_read_leaves_its_account_and_lists_it(
    scenario: Scenario, collection: str, value: Any
) -> None:
    add(scenario, "unclear", value if collection == "users" else LONG_AGO, {"salesData": 9})
    add(scenario, "gone")
    if collection != "users":
        owned(scenario, collection, "unclear", value)
    plan = scenario.plan(cascade())
    assert (plan.preview or {})["will_fail"] == {"activity_unreadable": 1}
    assert (plan.preview or {})["cascade"] == {}
    run = scenario.apply(plan)
    assert scenario.shop.users.distinct("_id") == ["unclear"]
    assert shown(scenario, run)["failed"] == 1
    assert run.remaining == {
        "total": 1,
        "at_least": False,
        "held": 0,
        "failed": 1,
        "changed_since": 0,
        "not_planned": 0,
    }


def test_an_id_kept_as_text_names_the_same_account(scenario: Scenario) -> None:
    living, dead = ObjectId(), ObjectId()
    for key in (living, dead):
        add(scenario, key)
        owned(scenario, "salesData", str(key))
    owned(scenario, "sessions", str(living), LATELY)
    assert scenario.run_through(cascade()).state == "succeeded"
    assert scenario.shop.users.distinct("_id") == [living]
    assert scenario.shop.salesData.distinct("userId") == [str(living)]


def test_what_belongs_to_nobody_or_to_several_stays(scenario: Scenario) -> None:
    add(scenario, "gone", children={"salesData": 2})
    scenario.shop.users.insert_one({"_id": None, "lastLogin": LONG_AGO})
    scenario.shop.salesData.insert_many(
        [{"userId": None}, {"number": 1}, {"userId": ["gone", "another"], "createdAt": LONG_AGO}]
    )
    run = scenario.run_through(cascade())
    assert run.state == "succeeded", run.error
    assert scenario.shop.users.count_documents({}) == 0
    assert scenario.shop.salesData.count_documents({}) == 3


def test_a_plan_without_the_indexes_is_refused_with_the_commands_that_make_them(
    scenario: Scenario,
) -> None:
    add(scenario, "gone")
    for name in ("salesData", "sessions"):
        scenario.shop[name].drop_indexes()
    scenario.shop.sessions.create_index(
        [("userId", 1), ("lastActivity", 1)], partialFilterExpression={"isActive": True}
    )
    with pytest.raises(IndexMissing) as raised:
        scenario.plan(cascade())
    assert str(raised.value).endswith(
        'create it with db.sessions.createIndex({"userId": 1, "lastActivity": 1}); '
        'db.salesData.createIndex({"userId": 1, "createdAt": 1});'
    )
    scenario.shop.drop_collection("forecasts")
    with pytest.raises(CollectionMissing, match="collection forecasts does not exist"):
        scenario.plan(cascade())


def test_the_indexes_that_are_asked_for_are_those_that_a_plan_needs(scenario: Scenario) -> None:
    for name in accounts.COLLECTIONS:
        scenario.shop[name].drop_indexes()
    named = {name: {each.name for each in needs(cascade(name))} for name in BOTH}
    assert named["inactive-accounts"] == {
        f"mongo/{name}.{','.join(fields)}" for name, fields in accounts.INDEXES.items()
    }
    assert named["deleted-accounts"] == {
        "mongo/users.deletedAt",
        *(f"mongo/{name}.userId" for name in accounts.INDEXES),
    }
    for name in BOTH:
        for each in needs(cascade(name)):
            scenario.shop[each.collection].create_index([(field, 1) for field in each.fields])
        assert scenario.plan(cascade(name)).state == "planned"


def test_a_deleted_account_has_thirty_days_of_grace(scenario: Scenario) -> None:
    add(scenario, "gone", LATELY, {"sessions": 2, "stores": 1}, deletedAt=old(30.1))
    add(scenario, "in grace", LATELY, {"sessions": 2}, deletedAt=old(30))
    add(scenario, "not deleted", children={"sessions": 2})
    run = scenario.run_through(cascade("deleted-accounts"))
    assert (run.state, run.planned) == ("succeeded", 1)
    assert set(scenario.shop.users.distinct("_id")) == {"in grace", "not deleted"}
    assert left(scenario)["sessions"] == 4
    assert run.remaining is not None
    assert run.remaining["total"] == 0


def test_the_plan_counts_what_goes_with_the_accounts_and_a_guard_sees_it(
    scenario: Scenario,
) -> None:
    for number in range(3):
        add(scenario, number, children={"salesData": 20, "sessions": 1})
    before = everything(scenario)
    exact, tight = (Guards(max_records=limit, max_percent=100) for limit in (66, 65))
    refused = scenario.run_through(cascade(guards=tight))
    assert refused.state == "refused"
    assert refused.refusal == "max_records allows 65 records and the plan has 66 records"
    assert (refused.preview or {})["cascade"] == {"sessions": 3, "salesData": 60}
    assert everything(scenario) == before
    assert scenario.run_through(cascade(guards=exact)).state == "succeeded"


def test_a_guard_sees_at_the_write_what_came_after_the_plan(scenario: Scenario) -> None:
    for number in range(2):
        add(scenario, number, children={"salesData": 8})
    plan = scenario.plan(cascade(guards=Guards(max_records=18, max_percent=100), batch=SMALL))
    assert plan.state == "planned"
    owned(scenario, "salesData", 1, LONG_AGO, 3)
    run = scenario.apply(plan)
    assert run.state == "failed"
    assert "max_records allows 18 records; 14 were changed and the next batch has 5" in str(
        run.error
    )
    assert sum(left(scenario).values()) == 21 - 14
    assert scenario.undo(run).state == "undone"
    assert left(scenario)["salesData"] == 19


def test_another_run_waits_while_any_of_the_collections_is_written(scenario: Scenario) -> None:
    add(scenario, "gone")
    plan = scenario.plan(cascade())
    scenario.apply_later(plan)
    waiting = scenario.request(sessions())
    assert scenario.advance(waiting).state == "queued"
    assert scenario.advance(plan.id).state == "succeeded"
    assert scenario.advance(waiting).state == "succeeded"


def test_a_small_batch_takes_what_fits_and_the_mirror_names_the_rest(scenario: Scenario) -> None:
    for number in range(7):
        add(scenario, number, children={"sessions": number % 3, "salesData": number})
    run = scenario.run_through(cascade(batch=SMALL, chunk=4))
    assert run.state == "succeeded", run.error
    assert sum(left(scenario).values()) == 0
    chunks = scenario.chunks(run.id)
    assert [chunk.changed for chunk in chunks] == [4, 3]
    assert run.planned == sum(getattr(chunk, name) for chunk in chunks for name in OUTCOMES)
    scenario.advance(run.id)
    summary = scenario.shop.auditlogs.find_one({})
    assert summary is not None
    assert summary["details"]["deletedCount"] == 7
    assert summary["details"]["cascade"] == {"sessions": 6, "salesData": 21}
    assert verify(scenario.engine.database).faults == 0


def after_batch(
    monkeypatch: pytest.MonkeyPatch, number: int, what: Callable[[], None]
) -> list[int]:
    """Do `what` once when so many batches are on record."""
    original = claims.progress
    done: list[int] = []

    def progress(db: Any, claim: Claim, batches: tuple[BatchRecord, ...]) -> Leave | None:
        answer = original(db, claim, batches)
        if len(batches) == number and not done:
            done.append(number)
            what()
        return answer

    monkeypatch.setattr(claims, "progress", progress)
    return done


def test_an_account_that_logs_in_between_two_batches_gets_everything_back(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(scenario, "back", children={"sessions": 4, "salesData": 30})
    add(scenario, "gone", children={"salesData": 6})
    before = everything(scenario)

    def log_in() -> None:
        assert left(scenario)["salesData"] == 36 - 11
        scenario.shop.users.update_one({"_id": "back"}, {"$set": {"lastLogin": NOW}})

    done = after_batch(monkeypatch, 3, log_in)
    run = scenario.run_through(cascade(batch=SMALL))
    assert (run.state, done) == ("succeeded", [3]), run.error
    after = everything(scenario)
    assert set(after["users"]) == {"back"}
    mine = {"userId": "back"}
    assert {key for key in before["salesData"] if key in after["salesData"]} == set(
        scenario.shop.salesData.distinct("_id", mine)
    )
    assert all(
        after[name][key] == before[name][key]
        for name in ("sessions", "salesData")
        for key in after[name]
    )
    assert left(scenario) == {
        "users": 1,
        "sessions": 4,
        "forecasts": 0,
        "salesData": 30,
        "stores": 0,
    }
    document = shown(scenario, run)
    assert (document["changed"], document["skipped"]["changed_since"]) == (1, 1)
    assert document["cascade"] == {"salesData": 6}
    assert verify(scenario.engine.database).faults == 0
    revived = everything(scenario)
    undone = scenario.undo(run)
    document = shown(scenario, undone)
    assert (undone.state, document["restored"], document["conflicts"]) == ("undone", 1, 0)
    assert document["cascade_restored"] == {"salesData": 6}
    assert everything(scenario) == {**before, "users": {**before["users"], **revived["users"]}}


@pytest.mark.parametrize("collection", accounts.INDEXES)
def test_a_sign_of_life_between_two_batches_brings_everything_back(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, collection: str
) -> None:
    add(scenario, "back", None, {"salesData": 12}, createdAt=LONG_AGO)
    before = everything(scenario)
    after_batch(monkeypatch, 2, lambda: owned(scenario, collection, "back", LATELY))
    run = scenario.run_through(cascade(batch=SMALL))
    assert run.state == "succeeded", run.error
    document = shown(scenario, run)
    assert (document["changed"], document["skipped"]["changed_since"]) == (0, 1)
    assert document["cascade"] == {}
    after = everything(scenario)
    assert all(after[name][key] == image for name in before for key, image in before[name].items())
    assert sum(map(len, after.values())) == 14


def test_what_cannot_come_back_to_a_living_account_is_left_as_it_is_and_counted(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(scenario, "back", children={"sessions": 12})
    first = scenario.shop.sessions.find_one({}, sort=[("_id", 1)])
    assert first is not None

    def takes_its_key() -> None:
        scenario.shop.sessions.insert_one(
            {"_id": first["_id"], "userId": "back", "lastActivity": NOW}
        )

    after_batch(monkeypatch, 2, takes_its_key)
    run = scenario.run_through(cascade(batch=SMALL))
    assert run.state == "succeeded", run.error
    assert shown(scenario, run)["cascade"] == {"sessions": 1}
    assert left(scenario)["sessions"] == 12
    kept = scenario.shop.sessions.find_one({"_id": first["_id"]})
    assert kept is not None
    assert kept["lastActivity"] == NOW
    key = scenario.engine.keyring.unwrap(run.key or b"")
    with scenario.engine.database.transaction() as session:
        objects = present.exceptions(session, run, "apply")
    told = [record for ref in objects for record in scenario.engine.archive.read(key, ref)]
    conflicts = [one for one in told if one.outcome == "conflict"]
    assert [(one.collection, one.key, one.code) for one in conflicts] == [
        ("sessions", first["_id"], "key_taken")
    ]


def test_an_account_that_the_application_deletes_in_the_middle_is_gone(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(scenario, "gone", children={"salesData": 12})
    after_batch(monkeypatch, 1, lambda: deleted(scenario, "gone"))
    run = scenario.run_through(cascade(batch=SMALL))
    assert run.state == "succeeded", run.error
    document = shown(scenario, run)
    assert (document["changed"], document["skipped"]["gone"]) == (0, 1)
    assert document["cascade"] == {"salesData": 5}
    assert left(scenario)["salesData"] == 7


def deleted(scenario: Scenario, key: Any) -> None:
    scenario.shop.users.delete_one({"_id": key})


def test_a_run_that_was_cancelled_in_the_middle_of_an_account_comes_back_whole(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(scenario, "half", children={"sessions": 2, "salesData": 12})
    before = everything(scenario)
    run_id = scenario.request(cascade(batch=SMALL))
    after_batch(monkeypatch, 2, lambda: operations.cancel(scenario.engine, run_id, TESTER))
    run = scenario.advance(run_id)
    assert run.state == "cancelled"
    assert shown(scenario, run)["cascade"] == {"sessions": 2, "salesData": 8}
    assert scenario.undo(run).state == "undone"
    assert everything(scenario) == before


def test_a_drained_worker_gives_an_account_back_and_the_next_goes_on_where_it_was(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(scenario, "gone", children={"sessions": 7, "salesData": 12})
    run_id = scenario.request(cascade(batch=SMALL))
    after_batch(monkeypatch, 2, scenario.engine.draining.set)
    assert scenario.advance(run_id).state == "applying"
    assert left(scenario) == {
        "users": 1,
        "sessions": 0,
        "forecasts": 0,
        "salesData": 9,
        "stores": 0,
    }
    scenario.engine.draining.clear()
    run = scenario.advance(run_id)
    assert run.state == "succeeded", run.error
    (chunk,) = scenario.chunks(run_id)
    assert (chunk.changed, chunk.cascade, chunk.attempt) == (1, {"sessions": 7, "salesData": 12}, 2)
    assert len(chunk.archives) == 4


def hold(scenario: Scenario, subject: tuple[str, str]) -> None:
    added = holding.add(
        scenario.engine.database, DEVELOPMENT, "CASE-1", subject, TESTER, anticipatory=False
    )
    assert holding.await_batches(scenario.engine, added) == []


def test_a_held_child_keeps_its_account_and_a_held_account_its_children(scenario: Scenario) -> None:
    for key in ("held", "has a held sale", "gone"):
        add(scenario, key, children={"salesData": 3, "sessions": 1})
    scenario.shop.salesData.update_one({"userId": "has a held sale"}, {"$set": {"storeId": "s-1"}})
    hold(scenario, ("userId", "held"))
    hold(scenario, ("storeId", "s-1"))
    run = scenario.run_through(cascade())
    assert (run.state, run.planned) == ("succeeded", 1), run.error
    assert left(scenario) == {
        "users": 2,
        "sessions": 2,
        "forecasts": 0,
        "salesData": 6,
        "stores": 0,
    }


@pytest.mark.parametrize("subject", [("userId", "held"), ("storeId", "s-1")])
def test_a_hold_between_two_batches_brings_everything_back(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch, subject: tuple[str, str]
) -> None:
    add(scenario, "held", children={"sessions": 2, "salesData": 14})
    last = scenario.shop.salesData.find_one({"number": 13})
    assert last is not None
    scenario.shop.salesData.update_one({"_id": last["_id"]}, {"$set": {"storeId": "s-1"}})
    before = everything(scenario)
    person = TESTER

    def protect() -> None:
        holding.add(
            scenario.engine.database, DEVELOPMENT, "CASE-1", subject, person, anticipatory=False
        )

    after_batch(monkeypatch, 2, protect)
    run_id = scenario.request(cascade(batch=SMALL))
    run = scenario.advance(run_id)
    while run.state == "applying":
        run = scenario.advance(run_id)
    assert run.state == "succeeded", run.error
    assert everything(scenario) == before
    document = shown(scenario, run)
    assert (document["changed"], document["held"], document["cascade"]) == (0, 1, {})
