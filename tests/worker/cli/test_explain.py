"""`tend explain`: what a person reads, what a program gets, and what is said to a wrong address."""

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from tests.worker.cli.conftest import AMPLE, Tend, ago

NO_STOCK = """
job: value_repair
description: A negative stock becomes 0.
options:
  target: sql
  collection: stock
  repairs:
    - {field: n, when: negative, set: 0}
undo: 7d
"""
ID = ObjectId("65a1b2c3d4e5f60718293a4b")


@pytest.fixture
def sale(tend: Tend) -> dict[str, Any]:
    born = ago(2000)
    tend.shop.salesData.insert_one({"_id": ID, "createdAt": born, "quantity": -2, "revenue": 3})
    return {"born": born, "address": f"mongo/salesData/{ID}"}


def policies(document: dict[str, Any]) -> dict[str, dict[str, Any]]:
    (record,) = document["records"]
    return {each["policy"]: each for each in record["policies"]}


def test_every_policy_of_the_collection_is_judged(tend: Tend, sale: dict[str, Any]) -> None:
    told = policies(tend.json("explain", sale["address"]))
    assert {"negative-sales-values", "sales-retention", "text-dates"} <= set(told)
    assert told["negative-sales-values"]["matches"] is True
    assert told["negative-sales-values"]["change"] == {
        "does": "set",
        "fields": {"quantity": 0},
        "unset": [],
    }
    due = datetime.fromisoformat(told["sales-retention"]["from"])
    assert due == sale["born"] + timedelta(days=2555)
    assert told["text-dates"]["from"] is None


def test_a_person_reads_it_in_words(tend: Tend, sale: dict[str, Any]) -> None:
    tend.policy("negative-sales-values", AMPLE)
    tend.json("run", "negative-sales-values", "--reason", "x", "--inline")
    told = tend("explain", sale["address"])
    assert told.code == 0
    assert told.out.splitlines()[0] == (
        f"[development] mongo/salesData/{ID}: found as ObjectId by its key"
    )
    due = f"{sale['born'] + timedelta(days=2555):%Y-%m-%d %H:%M:%S} UTC"
    assert f"sales-retention (observing): would delete it from {due} on, next fire " in told.out
    condition = f"  ✗ createdAt is a date more than 2555d ago: {sale['born'].isoformat()}"
    assert f"{condition}, true from {due} on" in told.out
    assert "text-dates (observing): would not touch it, as it stands" in told.out
    assert "r-1 of negative-sales-values, succeeded" in told.out
    assert "changed quantity; kept until" in told.out
    assert told.out.splitlines()[-1] == "1 run searched, back to r-1."


def test_a_record_that_is_not_there_gets_one_sentence_and_its_past(tend: Tend) -> None:
    tend.old_sales(3)
    tend.json("run", "sales-retention", "--reason", "x", "--inline")
    told = tend("explain", "mongo/salesData/2")
    assert told.code == 0
    assert told.out.splitlines()[0] == "[development] mongo/salesData/2: there is no such record"
    assert "r-1 of sales-retention, succeeded" in told.out
    assert ": deleted; kept until" in told.out


def test_a_session_is_told_as_facts(tend: Tend) -> None:
    tend.shop.sessions.create_index("sessionId")
    tend.shop.sessions.insert_one(
        {"sessionId": "abcdef123456", "isActive": True, "expiresAt": ago(-2), "userId": "u-123456"}
    )
    told = tend("explain", "mongo/sessions/abcdef123456")
    assert "found as ObjectId by its sessionId" in told.out
    lines = [" ".join(line.split()) for line in told.out.splitlines()]
    assert {"session id abcd•••", "user id u-•••", "active true", "expired false"} <= set(lines)
    assert any(line.startswith("expires in 1d 23h") for line in lines)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("mongo/salesDate/1", "no policy works on 'mongo/salesDate', and no run ever did; did"),
        ("mango/salesData/1", "did you mean 'mongo/salesData'?"),
        ("salesData/1", "'salesData/1' is no address of a record; write target, collection and id"),
        ("mongo//1", "is no address of a record"),
        ("mongo/salesData/", "is no address of a record"),
    ],
)
def test_an_address_that_leads_nowhere_is_refused(tend: Tend, address: str, says: str) -> None:
    refused = tend("explain", address)
    assert refused.code == 2
    assert says in refused.err


def test_an_id_may_hold_slashes(tend: Tend) -> None:
    tend.shop.salesData.insert_one({"_id": "a/b/c", "createdAt": ago(1)})
    assert len(tend.json("explain", "mongo/salesData/a/b/c")["records"]) == 1


def test_a_search_of_no_seconds_says_what_was_not_searched(tend: Tend) -> None:
    tend.old_sales(3)
    tend.json("run", "sales-retention", "--reason", "x", "--inline")
    told = tend("explain", "mongo/salesData/2", "--seconds", "0")
    assert (
        told.out.splitlines()[-1] == "0 runs searched; 1 older ones not, for --seconds were over."
    )


def test_a_target_that_is_away_is_one_sentence(tend: Tend) -> None:
    for name in ("TEND_MONGO_URL", "TEND_MONGO_READ_URL"):
        tend.setting(name, "mongodb://127.0.0.1:1/shop")
    away = tend("explain", "mongo/salesData/1")
    assert away.code == 1
    assert "does not answer" in away.err


def test_only_the_user_who_cannot_write_is_needed(tend: Tend) -> None:
    tend.patch.delenv("TEND_MONGO_URL")
    assert tend("explain", "mongo/salesData/1").code == 0


def test_a_row_of_a_sql_table_is_explained_alike(tend: Tend, tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "shop.sqlite")) as shop, shop:
        shop.execute("CREATE TABLE stock (store int, sku text, n int, PRIMARY KEY (store, sku))")
        shop.execute("CREATE INDEX n ON stock (n)")
        shop.execute("INSERT INTO stock VALUES (4, 'lamp', -2), (4, 'sofa', 1)")
    tend.setting("TEND_SQL_URL", f"sqlite:///{tmp_path / 'shop.sqlite'}")
    tend.policy("no-stock", AMPLE + NO_STOCK)
    told = policies(tend.json("explain", "sql/stock/4,lamp"))["no-stock"]
    assert (told["matches"], told["change"]) == (
        True,
        {"does": "set", "fields": {"n": 0}, "unset": []},
    )
    tend.json("run", "no-stock", "--reason", "x", "--inline")
    told = tend.json("explain", "sql/stock/4,lamp")
    assert [(each["outcome"], each["wrote"]) for each in told["runs"]] == [("changed", ["n"])]
    assert tend.json("explain", "sql/stock/4,sofa")["runs"] == []
