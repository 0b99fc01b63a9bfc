"""A database that a test is given after another one is not to be told from a new one."""

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.errors import PyMongoError

from tests.mongo_databases import INDEXES, MANY, MongoDatabases

Shop = Database[dict[str, Any]]
SHAPE = INDEXES["scenario"]


@pytest.fixture
def databases(mongo_admin: MongoClient[dict[str, Any]]) -> MongoDatabases:
    """With no database in it, so that the second test gets what the first one had."""
    return MongoDatabases(mongo_admin)


@pytest.fixture(autouse=True)
def nothing_left(
    databases: MongoDatabases, mongo_admin: MongoClient[dict[str, Any]]
) -> Iterator[None]:
    yield
    for name in [name for spare in databases._spare.values() for name in spare]:  # noqa: SLF001 - the test's own
        mongo_admin.drop_database(name)


def records(shop: Shop) -> None:
    shop.salesData.insert_many([{"createdAt": day} for day in range(20)])
    shop.sessions.insert_one({"isActive": True})


def many_records(shop: Shop) -> None:
    shop.salesData.insert_many([{"createdAt": day} for day in range(MANY + 1)])


def texts(shop: Shop) -> None:
    shop.sessions.insert_many([{"expiresAt": [1, 2]}, {"isActive": "yes"}])


def other_collections(shop: Shop) -> None:
    shop.tend_fences.insert_one({"_id": 1})
    shop.things.create_index("userId")


def a_collection_less(shop: Shop) -> None:
    shop.drop_collection("sessions")


def an_index_more(shop: Shop) -> None:
    shop.salesData.create_index("storeId", unique=True)


def an_index_less(shop: Shop) -> None:
    shop.salesData.drop_index("date_1")


def a_hidden_index(shop: Shop) -> None:
    shop.command("collMod", "salesData", index={"name": "date_1", "hidden": True})


def a_validator(shop: Shop) -> None:
    shop.command("collMod", "sessions", validator={"isActive": {"$type": "bool"}})


def odd_collections(shop: Shop) -> None:
    shop.drop_collection("salesData")
    shop.create_collection("salesData", capped=True, size=4096)
    shop.create_collection("sorted", collation={"locale": "de", "strength": 2})


def a_view(shop: Shop) -> None:
    shop.create_collection("paid", viewOn="salesData", pipeline=[{"$match": {"quantity": 1}}])


def a_time_series(shop: Shop) -> None:
    shop.create_collection("loads", timeseries={"timeField": "at"})
    shop.loads.insert_one({"at": datetime(2026, 1, 1, tzinfo=UTC)})


def a_user(shop: Shop) -> None:
    shop.command("createUser", "narrow", pwd="x", roles=["read"])  # noqa: S106 - a test's


def a_role(shop: Shop) -> None:
    shop.command("createRole", "narrow", privileges=[], roles=[])


def profiling(shop: Shop) -> None:
    shop.command("profile", 2)
    shop.salesData.find_one()


def a_plan(shop: Shop) -> None:
    shop.salesData.insert_many([{"quantity": n, "revenue": n % 3} for n in range(50)])
    for _ in range(3):
        list(shop.salesData.find({"quantity": {"$gt": 3}, "revenue": 1}))


def seen(shop: Shop) -> object:
    """What a test can see of a database that it was just given."""
    return {
        "collections": {said["name"]: _of_one(shop, said) for said in shop.list_collections()},
        "users": shop.command("usersInfo", 1)["users"],
        "roles": shop.command("rolesInfo", 1)["roles"],
        "profile": shop.command("profile", -1)["was"],
    }


def _of_one(shop: Shop, said: Mapping[str, Any]) -> list[Any]:
    collection = shop[said["name"]]
    kind = [said["type"], said["options"], said["info"]["readOnly"]]
    if said["type"] != "collection" or said["name"].startswith("system."):
        return kind
    indexes = collection.index_information()
    plans = list(collection.aggregate([{"$planCacheStats": {}}]))
    multikey = [
        _is_multikey(collection, name)
        for name, index in indexes.items()
        if name != "_id_" and not index.get("hidden")
    ]
    return [*kind, list(collection.find()), indexes, plans, multikey]


def _is_multikey(collection: Collection[dict[str, Any]], index: str) -> object:
    (field,) = (field for field, _ in collection.index_information()[index]["key"])
    plan = collection.find({field: {"$gt": 0}}).hint(index).explain()["queryPlanner"]
    return plan["winningPlan"]["inputStage"]["isMultiKey"]


@pytest.mark.parametrize(
    "left_by",
    [
        *(records, many_records, texts, other_collections, a_collection_less),
        *(an_index_more, an_index_less, a_hidden_index, a_validator, odd_collections, a_view),
        *(a_time_series, a_user, a_role, profiling, a_plan),
    ],
)
def test_what_one_test_left_no_other_sees(
    databases: MongoDatabases,
    mongo_admin: MongoClient[dict[str, Any]],
    left_by: Callable[[Shop], None],
) -> None:
    with databases.database(SHAPE) as name:
        fresh = seen(mongo_admin[name])
        left_by(mongo_admin[name])
        assert seen(mongo_admin[name]) != fresh
    with databases.database(SHAPE) as name:
        assert seen(mongo_admin[name]) == fresh


@pytest.mark.parametrize("left_by", [records, texts, other_collections, an_index_less])
def test_what_can_be_taken_back_costs_no_new_database(
    databases: MongoDatabases,
    mongo_admin: MongoClient[dict[str, Any]],
    left_by: Callable[[Shop], None],
) -> None:
    with databases.database(SHAPE) as first:
        left_by(mongo_admin[first])
    with databases.database(SHAPE) as second:
        assert second == first


@pytest.mark.parametrize("left_by", [a_view, a_time_series, a_user, a_role, profiling])
def test_a_database_with_what_is_no_plain_collection_goes(
    databases: MongoDatabases,
    mongo_admin: MongoClient[dict[str, Any]],
    left_by: Callable[[Shop], None],
) -> None:
    with databases.database(SHAPE) as first:
        left_by(mongo_admin[first])
    assert first not in mongo_admin.list_database_names()


def test_two_at_a_time_and_of_two_kinds_are_never_the_same(databases: MongoDatabases) -> None:
    with databases.database(SHAPE) as first, databases.database(SHAPE) as second:
        pass
    with databases.database({}) as third, databases.database(SHAPE) as fourth:
        assert third not in {first, second}
        assert fourth in {first, second}


def test_one_where_other_processes_worked_is_nobody_elses(
    databases: MongoDatabases, mongo_admin: MongoClient[dict[str, Any]]
) -> None:
    with databases.database(SHAPE) as kept:
        pass
    with databases.database(SHAPE, alone=True) as alone:
        assert alone != kept
    assert alone not in mongo_admin.list_database_names()


def test_one_in_which_somebody_is_still_at_work_goes(
    databases: MongoDatabases, mongo_admin: MongoClient[dict[str, Any]]
) -> None:
    def looks() -> None:
        with suppress(PyMongoError):  # its collection goes away
            list(mongo_admin[name].salesData.find({"$where": "sleep(100) || false"}))

    thread = threading.Thread(target=looks)
    with databases.database(SHAPE) as name:
        mongo_admin[name].salesData.insert_many([{"_id": number} for number in range(600)])
        thread.start()
        deadline = time.monotonic() + 30
        while not databases._is_at_work(name):  # noqa: SLF001 - it is what is looked at
            assert time.monotonic() < deadline
    assert name not in mongo_admin.list_database_names()
    thread.join(60)
    assert not thread.is_alive()
