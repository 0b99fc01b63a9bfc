"""`tend indexes`: what is wanted and what is there; creating one, on record, one at a time."""

import json
import signal
import subprocess
import time
from typing import Any

import pytest
from pymongo.errors import DuplicateKeyError

from tests.worker.cli.conftest import Tend, ago
from tests.worker.cli.terminal import Terminal
from worker.indexes.wanted import RECOMMENDED
from worker.targets.mongo_indexes import MongoIndexes

WANTED = "mongo/salesData.userId,date"


def row(tend: Tend, name: str) -> dict[str, Any]:
    (found,) = [each for each in tend.json("indexes")["indexes"] if each["index"] == name]
    return dict(found)


def actions(tend: Tend) -> list[tuple[str, dict[str, Any]]]:
    entries = tend.json("audit", "list")["entries"]
    return [
        (each["action"], each["body"]["detail"])
        for each in entries
        if each["action"].startswith("index_")
    ]


def fill(tend: Tend, records: int) -> None:
    """The server makes them by itself: over the wire they would take a minute."""
    tend.shop.seeds.insert_one({"date": ago(5)})
    pipeline: list[dict[str, Any]] = [
        {"$project": {"date": 1, "n": {"$range": [0, records]}}},
        {"$unwind": "$n"},
        {"$project": {"_id": "$n", "date": 1, "userId": {"$toString": {"$rand": {}}}}},
        {"$out": "salesData"},
    ]
    tend.shop.seeds.aggregate(pipeline)


def test_what_a_policy_needs_is_listed_with_its_size(tend: Tend) -> None:
    tend.old_sales(50)
    found = row(tend, "mongo/salesData.createdAt")
    assert (found["state"], found["name"]) == ("present", "createdAt_1")
    assert found["needed_by"] == ["sales-retention"]
    assert found["size"] > 0
    assert found["estimated_bytes"] is None


def test_what_is_missing_is_listed_with_its_estimated_size(tend: Tend) -> None:
    tend.old_sales(50)
    tend.shop.salesData.drop_index("createdAt_1")
    found = row(tend, "mongo/salesData.createdAt")
    assert (found["state"], found["size"]) == ("missing", None)
    assert 50 * 8 <= found["estimated_bytes"] <= 50 * 24
    told = tend("indexes")
    assert told.code == 0
    assert "mongo/salesData.createdAt" in told.out
    assert f"about {found['estimated_bytes']:,}" in told.out


def test_the_indexes_of_every_policy_are_those_the_doctor_asks_for(tend: Tend) -> None:
    """With exactly what is listed as needed, no policy lacks an index."""
    for each in tend.json("indexes")["indexes"]:
        collection, _, fields = each["index"].removeprefix("mongo/").partition(".")
        if each["needed_by"]:
            tend.shop[collection].create_index([(name, 1) for name in fields.split(",")])
            tend.shop[collection].insert_one({})
    checks = tend("doctor", "--json").json["checks"]
    lacking = [check["says"] for check in checks if "has no index" in check["says"]]
    assert lacking == []


def test_an_index_that_begins_alike_serves_and_a_partial_one_does_not(tend: Tend) -> None:
    sales = tend.shop.salesData
    sales.create_index([("userId", 1), ("date", 1), ("sku", 1)], name="longer")
    assert row(tend, WANTED)["name"] == "longer"
    sales.drop_index("longer")
    sales.create_index(
        [("userId", 1), ("date", 1)], name="part", partialFilterExpression={"sku": "x"}
    )
    assert row(tend, WANTED)["state"] == "missing"


@pytest.mark.parametrize(
    "each",
    [each for each in RECOMMENDED if each.target == "mongo"],
    ids=lambda each: each.name,
)
def test_every_recommendation_says_what_it_is_for(tend: Tend, each: Any) -> None:
    assert each.because
    assert row(tend, each.name)["recommended"] == each.because


def test_an_index_is_created_with_its_size_told_first_and_both_ends_on_record(tend: Tend) -> None:
    tend.old_sales(50)
    made = tend("indexes", "create", WANTED, "--reason", "CASE-3", "--json")
    assert made.code == 0
    assert made.err.startswith(f"{WANTED} will take about ")
    assert made.json["name"] == "userId_1_date_1"
    assert "userId_1_date_1" in tend.shop.salesData.index_information()
    (asked, detail), (done, _) = actions(tend)
    assert (asked, done) == ("index_requested", "index_created")
    assert detail == {
        "index": WANTED,
        "reason": "CASE-3",
        "estimated_bytes": made.json["estimated_bytes"],
    }
    assert tend("audit", "verify").code == 0


def test_an_index_that_is_there_is_not_made_again(tend: Tend) -> None:
    again = tend("indexes", "create", "salesData.createdAt", "--reason", "x")
    assert again.code == 1
    assert "mongo/salesData.createdAt is there already, as createdAt_1" in again.err
    assert actions(tend) == []


@pytest.mark.parametrize(
    ("name", "says"),
    [
        ("salesData.createdAd", "did you mean 'salesData.createdAt'?"),
        ("users.email", "there is no collection users to create an index of"),
    ],
)
def test_an_index_that_cannot_be_is_refused(tend: Tend, name: str, says: str) -> None:
    refused = tend("indexes", "create", name, "--reason", "x")
    assert refused.code == 2
    assert says in refused.err
    assert actions(tend) == []


def test_a_build_that_fails_is_on_record_with_its_cause(tend: Tend) -> None:
    tend.shop.salesData.insert_one({"userId": [1, 2], "date": [1, 2]})
    failed = tend("indexes", "create", WANTED, "--reason", "x")
    assert failed.code == 1
    assert [action for action, _ in actions(tend)] == ["index_requested", "index_failed"]
    assert row(tend, WANTED)["state"] == "missing"


PRODUCTS = "mongo/products.storeId,externalId"


def test_the_index_of_products_is_unique_and_a_sync_finds_them_by_it(tend: Tend) -> None:
    products = tend.shop.products
    products.insert_many([{"storeId": "1", "externalId": str(number)} for number in range(9)])
    products.insert_many([{"storeId": "1", "name": "uploaded"} for _ in range(3)])
    products.create_index([("storeId", 1), ("externalId", 1)])
    assert (row(tend, PRODUCTS)["state"], row(tend, PRODUCTS)["unique"]) == ("missing", True)
    made = tend("indexes", "create", PRODUCTS, "--reason", "CASE-3")
    assert made.code == 0, made.err
    assert row(tend, PRODUCTS)["state"] == "present"
    with pytest.raises(DuplicateKeyError):
        products.insert_one({"storeId": "1", "externalId": "7"})
    products.drop_index("storeId_1_externalId_1")
    plan = products.find({"storeId": "1", "externalId": "7"}).explain()
    assert "IXSCAN" in json.dumps(plan["queryPlanner"]["winningPlan"])


def test_where_products_agree_no_unique_index_is_made_and_a_query_finds_them(tend: Tend) -> None:
    tend.shop.products.insert_many([{"storeId": "1", "externalId": "SECRET"} for _ in range(2)])
    failed = tend("indexes", "create", PRODUCTS, "--reason", "CASE-3")
    assert failed.code == 1
    assert "has records that agree in storeId and externalId" in failed.err
    assert "SECRET" not in failed.err
    find = " ".join(failed.err.split()).partition("db.products.aggregate(")[2].rstrip(")")
    (repeated,) = tend.shop.products.aggregate(json.loads(find))
    assert repeated == {"_id": {"storeId": "1", "externalId": "SECRET"}, "n": 2}
    assert actions(tend)[-1][1]["code"] == "records_repeated"
    assert row(tend, PRODUCTS)["state"] == "missing"


def test_a_user_who_may_not_is_told_so(tend: Tend, mongo_read_url: str) -> None:
    tend.setting("TEND_MONGO_URL", mongo_read_url)
    refused = tend("indexes", "create", WANTED, "--reason", "x")
    assert refused.code == 1
    assert "does not allow this user the operation" in refused.err
    action, detail = actions(tend)[-1]
    assert (action, detail["code"]) == ("index_failed", "target_refused")


@pytest.mark.system
def test_on_a_terminal_its_name_is_asked_for(tend: Tend) -> None:
    with Terminal(tend, "indexes", "create", WANTED, "--reason", "x") as terminal:
        terminal.wait_for(f"Type {WANTED} to create it: ")
        terminal.type("no\n")
        assert terminal.end() == 1
    assert row(tend, WANTED)["state"] == "missing"
    assert actions(tend) == []
    with Terminal(tend, "indexes", "create", WANTED, "--reason", "x") as terminal:
        terminal.wait_for(f"Type {WANTED} to create it: ")
        terminal.type(f"{WANTED}\n")
        assert terminal.end() == 0
    assert row(tend, WANTED)["state"] == "present"


@pytest.mark.system
def test_ctrl_c_ends_the_command_and_says_that_the_build_goes_on(
    tend: Tend, mongo_url: str
) -> None:
    fill(tend, 600_000)  # so that the build outlasts what is done meanwhile
    command = tend.command("indexes", "create", WANTED, "--reason", "x", "--yes")
    with (
        MongoIndexes(mongo_url) as database,
        subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as process,
    ):
        until = time.monotonic() + 60
        while not any(each.is_building for each in database.existing()["salesData"]):
            assert time.monotonic() < until
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "A build that has begun goes on in the server" in said
        while any(each.is_building for each in database.existing()["salesData"]):
            assert time.monotonic() < until
    assert row(tend, WANTED)["state"] == "present"
    assert [action for action, _ in actions(tend)] == ["index_requested"]
