"""Collections that are not like others: refused with a sentence before anything is planned."""

from typing import Any

import pytest
from pymongo.database import Database

from policies.models import Policy
from tests.worker.scenario import Scenario, old, policy_text, purge
from tests.worker.targets.shops import Hand, MongoShop, deletes, words, work
from worker.archive import ArchiveStore
from worker.errors import CollectionMissing, TargetError
from worker.registry import frozen_policy
from worker.targets.mongo import MongoTarget
from worker.targets.mongo_collections import refuse_sharded

pytestmark = pytest.mark.sqlite_control

NEGATIVE = words(less_than={"field": "stock", "value": 0})
ODD = {
    "a view": (
        {"viewOn": "salesArchive", "pipeline": []},
        "salesData is a view, which holds no records; name salesArchive behind it",
    ),
    "capped": ({"capped": True, "size": 100_000}, "salesData is capped: MongoDB changes none"),
    "a time series": (
        {"timeseries": {"timeField": "createdAt"}},
        "salesData is a time series, whose records",
    ),
}


@pytest.mark.parametrize(("options", "says"), ODD.values(), ids=ODD)
@pytest.mark.parametrize("scan", [False, True])
def test_a_collection_of_another_kind_is_refused(
    scenario: Scenario, options: dict[str, Any], says: str, scan: bool
) -> None:
    scenario.shop.salesArchive.insert_one({"createdAt": old(3000)})
    scenario.shop.salesData.drop()
    scenario.shop.create_collection("salesData", **options)
    reader = scenario.engine.targets["mongo"].reader("salesData", scenario.clock(), scan=scan)
    with pytest.raises(TargetError, match=says):
        list(reader.select(words(older_than={"field": "createdAt", "age": "1d"}), ()))
    run_id = scenario.request(purge())
    with pytest.raises(TargetError, match=says):
        scenario.advance(run_id)
    assert scenario.run(run_id).state == "failed"
    assert says in (scenario.run(run_id).error or "")


def test_a_collection_that_becomes_a_view_after_the_plan_is_left_alone(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many([{"createdAt": old(3000)} for _ in range(3)])
    plan = scenario.plan(purge())
    scenario.shop.salesData.rename("salesArchive")
    scenario.shop.create_collection("salesData", viewOn="salesArchive", pipeline=[])
    run = scenario.apply(plan)
    assert run.state == "failed"
    assert "is a view" in (run.error or "")
    assert scenario.shop.salesArchive.count_documents({}) == 3


def moving() -> Policy:
    repair = {"field": "quantity", "when": "negative", "quarantine": "9d"}
    options = {"collection": "salesData", "repairs": [repair]}
    return frozen_policy(policy_text(job="value_repair", options=options))


def test_a_quarantine_of_another_kind_is_refused_before_the_plan(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_one({"quantity": -1})
    scenario.shop.create_collection("salesData_quarantine", capped=True, size=100_000)
    with pytest.raises(TargetError, match="salesData_quarantine is capped"):
        scenario.run_through(moving())


def test_a_sharded_collection_is_refused() -> None:
    """There is no sharded cluster here: this is what `collStats` of one says."""
    with pytest.raises(TargetError, match="MongoDB, collection orders is sharded"):
        refuse_sharded({"ns": "shop.orders", "sharded": True}, "MongoDB, collection orders")


def test_a_collection_that_is_not_sharded_is_not_refused(
    mongo_database: Database[dict[str, Any]],
) -> None:
    mongo_database.orders.insert_one({})
    stats = mongo_database.command("collStats", "orders")
    refuse_sharded(stats, "orders")
    assert stats["count"] == 1


def test_a_collection_renamed_between_two_batches_stops_the_second(
    mongo_url: str, mongo_database: Database[dict[str, Any]], tmp_path: Any
) -> None:
    target = MongoTarget(mongo_url)
    shop = MongoShop(target, mongo_database)
    hand = Hand(target, ArchiveStore(f"file://{tmp_path}/archive"))
    shop.add(*({"id": number, "stock": -1} for number in range(4)))
    with hand.fence() as fence:
        fence.take(1)
        fence.batch(0, (0, 2), work([0, 1], NEGATIVE, deletes))
        mongo_database.products.rename("products_of_old")
        with pytest.raises(CollectionMissing, match="products does not exist"):
            fence.batch(1, (2, 4), work([2, 3], NEGATIVE, deletes))
    assert set(mongo_database.products_of_old.distinct("_id")) == {2, 3}
    target.close()
