"""What went with an account has a past of its own, which the archives know."""

from typing import Any

import pytest
from bson import ObjectId

from policies.models import Batch
from tests.mongo_databases import Indexes
from tests.worker import accounts
from tests.worker.accounts import LATELY, add, cascade
from tests.worker.explain.test_record import ask
from tests.worker.scenario import NOW, Scenario, sessions
from tests.worker.test_cascade import after_batch
from worker.explain import gone_with, past
from worker.explain.past import Past
from worker.explain.store import Store

pytestmark = pytest.mark.sqlite_control

SMALL = Batch(records=5)
ACCOUNT = "mongo/users/g•••"
"""Of the key `gone`, masked."""


@pytest.fixture
def mongo_indexes() -> Indexes:
    return accounts.PREPARED


def search(scenario: Scenario, place: str, key: Any, seconds: float = 60) -> Past:
    engine = scenario.engine
    store = Store(engine.database, engine.archive, engine.keyring)
    return past.search(store, place, [key], seconds)


def keys_of(scenario: Scenario, collection: str) -> list[Any]:
    found = scenario.shop[collection].find({"userId": "gone"}).sort("_id")
    return [each["_id"] for each in found]


def test_what_went_with_an_account_says_with_which_and_what_an_undo_did(
    scenario: Scenario,
) -> None:
    add(scenario, "gone", children={"sessions": 3, "salesData": 31, "stores": 1})
    add(scenario, "stays", LATELY, children={"salesData": 1})
    children = {name: keys_of(scenario, name) for name in ("sessions", "salesData", "stores")}
    (kept,) = (each["_id"] for each in scenario.shop.salesData.find({"userId": "stays"}))
    run = scenario.run_through(cascade(batch=SMALL))
    scenario.shop.salesData.insert_one({"_id": children["salesData"][7], "mine": "new"})
    scenario.undo(run)
    for collection, keys in children.items():
        for key in keys:
            (found,) = search(scenario, f"mongo/{collection}", key).found
            assert (found["run"], found["policy"]) == (f"r-{run.id}", "inactive-accounts")
            assert (found["outcome"], found["with"]) == ("deleted", ACCOUNT)
            is_back = key != children["salesData"][7]
            assert found["undo"] == ("restored" if is_back else "conflict")
    assert search(scenario, "mongo/salesData", kept).found == []
    assert search(scenario, "mongo/sessions", children["salesData"][0]).found == []


def test_an_account_is_not_taken_for_a_child_with_the_same_key(scenario: Scenario) -> None:
    add(scenario, "gone")
    scenario.shop.sessions.insert_one({"_id": "gone", "userId": "gone"})
    scenario.shop.users.update_one({"_id": "gone"}, {"$set": {"deletedAt": accounts.LONG_AGO}})
    assert scenario.run_through(cascade("deleted-accounts")).state == "succeeded"
    (account,) = search(scenario, "mongo/users", "gone").found
    (child,) = search(scenario, "mongo/sessions", "gone").found
    assert (account["outcome"], account["with"]) == ("deleted", None)
    assert (child["outcome"], child["with"]) == ("deleted", ACCOUNT)


def test_what_the_run_itself_put_back_says_so(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The account came back to life after its first records were gone."""
    add(scenario, "gone", children={"salesData": 12})
    keys = keys_of(scenario, "salesData")

    def log_in() -> None:
        scenario.shop.users.update_one({"_id": "gone"}, {"$set": {"lastLogin": NOW}})

    after_batch(monkeypatch, 1, log_in)
    assert scenario.run_through(cascade(batch=SMALL)).state == "succeeded"
    assert keys_of(scenario, "salesData") == keys
    told = [search(scenario, "mongo/salesData", key).found for key in keys]
    outcomes = [each[0]["outcome"] for each in told if each]
    assert set(outcomes) == {"put_back"}
    assert len(outcomes) >= 4


def test_a_session_that_went_with_its_account_is_found_by_the_id_it_had(
    scenario: Scenario,
) -> None:
    add(scenario, "gone")
    key = ObjectId()
    session = {"_id": key, "sessionId": "s-41", "userId": "gone", "expiresAt": NOW}
    scenario.shop.sessions.insert_one(session)
    scenario.shop.users.update_one({"_id": "gone"}, {"$set": {"deletedAt": accounts.LONG_AGO}})
    assert scenario.run_through(cascade("deleted-accounts")).state == "succeeded"
    told = ask(scenario, "mongo/sessions/s-41", sessions(), cascade("deleted-accounts"))
    assert [each["with"] for each in told["runs"]] == [ACCOUNT]


def test_a_search_that_runs_out_of_time_does_not_count_the_run_as_searched(
    scenario: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    add(scenario, "gone", children={"salesData": 12})
    (key, *_) = keys_of(scenario, "salesData")
    run = scenario.run_through(cascade())

    def begin_late(*args: Any) -> Any:
        store, run, run_key, place, keys, _ = args
        return gone_with.children(store, run, run_key, place, keys, until=0)

    monkeypatch.setattr(past, "children", begin_late)
    found = search(scenario, "mongo/salesData", key)
    assert (found.found, found.searched, found.not_searched) == ([], 0, 1)
    monkeypatch.undo()
    assert search(scenario, "mongo/salesData", key).oldest_searched == run.id
