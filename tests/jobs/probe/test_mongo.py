"""A MongoDB made ill on purpose, looked at by a user who may only look."""

import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database as MongoDatabase
from pymongo.errors import PyMongoError

from demo.servers import Mongo
from jobs.probing import NotTold
from policies.probes import Probe
from tests.faults.processes import eventually
from tests.worker.probes.watch import Watch, probe
from worker.engine import system_clock
from worker.tables import ProbeState
from worker.targets.mongo import MongoTarget

Admin = MongoClient[dict[str, Any]]
Shop = MongoDatabase[dict[str, Any]]
# What a busy test machine may exceed is not what these tests are about.
WIDE = {"connections_percent": 100, "tickets_percent": 100, "cache_percent": 100}


def asking(**options: Any) -> Probe:
    return probe("mongo", {**WIDE, "operation_ms": 3_600_000, **options}, every="5m", within="2m")


@pytest.fixture
def monitor(mongo_server: Mongo, mongo_admin: Admin, mongo_database: Shop) -> Iterator[str]:
    """The URL of a user with the roles that `tend doctor --grants` gives to the one who reads."""
    name = mongo_database.name
    roles: list[Any] = [{"role": "read", "db": name}, {"role": "clusterMonitor", "db": "admin"}]
    mongo_admin.admin.command("createUser", f"monitor-{name}", pwd="look", roles=roles)  # noqa: S106 - it lives as long as the test
    yield mongo_server.url(name).replace("mongodb://", f"mongodb://monitor-{name}:look@") + (
        "&authSource=admin"
    )
    mongo_admin.admin.command("dropUser", f"monitor-{name}")


@pytest.fixture
def shop(watch: Watch, monitor: str) -> Iterator[Watch]:
    with closing(MongoTarget(monitor)) as target:
        yield replace(watch, site=replace(watch.site, targets={"mongo": target}))


@contextmanager
def at_work(
    database: Shop, admin: MongoClient[dict[str, Any]], query: dict[str, Any]
) -> Iterator[None]:
    """A query that ends only when it is ended."""
    mark = f"ill on purpose in {database.name}"

    def work() -> None:
        try:
            list(database.salesData.find({**query, "$where": "sleep(50) || true"}, comment=mark))
        except PyMongoError:
            return  # it was ended

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    planned = {"command.comment": mark, "planSummary": {"$exists": True}}
    mine: list[dict[str, Any]] = [{"$currentOp": {"allUsers": True}}, {"$match": planned}]
    try:
        eventually(lambda: list(admin.admin.aggregate(mine)))
        yield
    finally:
        while thread.is_alive():
            for each in admin.admin.aggregate(mine):
                admin.admin.command("killOp", op=each["opid"])
            thread.join(0.2)


def test_a_scan_of_500_000_documents_is_told_once_with_the_index_that_serves_it(
    shop: Watch, mongo_database: Shop, mongo_admin: Admin
) -> None:
    for start in range(0, 500_000, 50_000):
        page = range(start, start + 50_000)
        mongo_database.salesData.insert_many(
            [{"_id": number, "userId": "anna"} for number in page], ordered=False
        )
    mongo_admin[mongo_database.name].command("profile", 2)
    mongo_database.salesData.find_one({"userId": "nobody", "createdAt": {"$gt": 5}})
    mongo_admin[mongo_database.name].command("profile", 0)
    readings = shop.look(asking(), 3)
    (seen,) = [one for one in readings if one.check == "collection_scan"]
    assert 'db.salesData.createIndex({"userId": 1, "createdAt": 1}) would serve it' in seen.says
    assert "nobody" not in seen.says
    cause = f"probe/under-test/collection_scan/{mongo_database.name}.salesData"
    assert shop.alerts == [(cause, True)]
    later = replace(shop.site, clock=lambda: system_clock() + timedelta(minutes=6))
    replace(shop, site=later).look(asking(), 3)
    assert shop.alerts == [(cause, False)]


def test_a_scan_at_work_is_seen_without_a_profiler_and_not_told_to_be_long_as_well(
    shop: Watch, mongo_database: Shop, mongo_admin: Admin
) -> None:
    mongo_database.salesData.insert_many([{"userId": number} for number in range(2_000)])
    with at_work(mongo_database, mongo_admin, {"userId": {"$gte": 0}}):
        readings = shop.look(asking(large=1_000, operation_ms=1))
    mine = [one for one in readings if one.subject.startswith(mongo_database.name)]
    assert [one.check for one in mine] == ["collection_scan"]
    assert 'createIndex({"userId": 1})' in mine[0].says


def test_an_operation_that_runs_for_long_is_told_once_and_cleared_once(
    shop: Watch, mongo_database: Shop, mongo_admin: Admin
) -> None:
    mongo_database.salesData.insert_many([{"_id": number} for number in range(2_000)])
    cause = f"probe/under-test/long_operation/{mongo_database.name}.salesData"
    with at_work(mongo_database, mongo_admin, {"_id": {"$gte": 0}}):
        shop.look(asking(operation_ms=1), 3)
        assert (cause, True) in shop.alerts
    shop.look(asking(), 3)
    assert [told for told in shop.alerts if told[0] == cause] == [(cause, False)]


def test_what_a_server_counts_is_read_and_kept(shop: Watch) -> None:
    readings = shop.look(asking())
    values = {one.check: one.value for one in readings}
    assert {"connections", "tickets", "cache", "memory_growth"} <= values.keys()
    assert {"replication_lag", "member", "oplog_window"} <= values.keys() | {"replication_lag"}
    assert all(value is not None for check, value in values.items() if check != "member")


def test_a_user_who_may_not_ask_is_told_once_what_to_grant_and_nothing_is_ill(
    watch: Watch, mongo_read_url: str
) -> None:
    with closing(MongoTarget(mongo_read_url)) as target:
        plain = replace(watch, site=replace(watch.site, targets={"mongo": target}))
        readings = plain.look(asking(), 3)
    assert not [one for one in readings if one.ill]
    assert plain.alerts == []
    with watch.site.database.transaction() as session:
        state = session.get_one(ProbeState, ("under-test", ""))
    assert any("grant it clusterMonitor" in remark for remark in state.remarks)
    assert len(state.remarks) == len(set(state.remarks))


def test_a_server_that_is_gone_is_one_trouble(watch: Watch) -> None:
    with closing(MongoTarget("mongodb://127.0.0.1:1/shop")) as target:
        gone = replace(watch, site=replace(watch.site, targets={"mongo": target}))
        gone.look(asking().model_copy(update={"raise_after": 1}))
    assert gone.alerts == [("probe/under-test/answers/under-test", True)]


def test_a_site_without_mongodb_has_nothing_to_look_at(watch: Watch) -> None:
    watch.look(asking(), 3)
    assert watch.alerts == []
    with watch.site.database.transaction() as session:
        assert "TEND_MONGO_URL is not set" in str(
            session.get_one(ProbeState, ("under-test", "")).off
        )


def test_the_handle_of_a_probe_cannot_write(mongo_url: str, mongo_database: Shop) -> None:
    mongo_database.salesData.insert_one({"_id": 1})
    with closing(MongoTarget(mongo_url)) as target:
        status = target.status()
        with pytest.raises(AssertionError):
            status.command("dropDatabase")
        with pytest.raises(AssertionError):
            status.aggregate(mongo_database.name, "salesData", [{"$out": "copy"}])
        with pytest.raises(NotTold):
            status.operations([{"$noSuchStage": {}}])
    assert mongo_database.list_collection_names() == ["salesData"]
