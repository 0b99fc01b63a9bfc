"""`tend hold`: what it says is protected, and what it refuses."""

from typing import Any

import pytest

from tests.worker.audit import keeping
from tests.worker.cli.conftest import Tend, ago

USER = "66f0c1d2e3a4b5c6d7e8f901"
SUBJECT = ("--subject", f"userId={USER}")
WHY = ("--reason", "counsel's letter")


@pytest.fixture
def shop(tend: Tend) -> Tend:
    sales = [
        {"_id": number, "userId": USER if number < 3 else "another", "createdAt": ago(3000)}
        for number in range(10)
    ]
    tend.shop.salesData.insert_many(sales)
    return tend


def places(document: dict[str, Any]) -> dict[str, int]:
    return {match["place"]: match["records"] for match in document["matches"]}


def test_adding_says_what_is_protected_and_the_next_run_leaves_it(shop: Tend) -> None:
    added = shop.json("hold", "add", "CASE-7", *SUBJECT, *WHY)
    assert places(added)["mongo/salesData"] == 3
    assert [hold["value"] for hold in added["holds"]] == [USER]
    planned = shop("plan", "sales-retention")
    assert "3 more match, and stay: a legal hold protects them" in planned.out
    done = shop.json("run", "sales-retention", "--reason", "x", "--yes", "--inline")
    assert (done["planned"], done["changed"]) == (7, 7)
    assert shop.shop.salesData.count_documents({"userId": USER}) == 3
    assert "3 under a legal hold" in shop("show", done["id"]).out


def test_a_record_under_a_hold_is_explained_and_not_overdue(shop: Tend) -> None:
    shop.json("hold", "add", "CASE-7", *SUBJECT, *WHY)
    explained = shop("explain", "mongo/salesData/1")
    assert "under the legal hold of CASE-7 since " in explained.out
    assert shop.json("explain", "mongo/salesData/5")["records"][0]["holds"] == []
    (row,) = [row for row in shop.json("status")["policies"] if row["policy"] == "sales-retention"]
    assert row["overdue"]["count"] == 7
    (reported,) = shop.json("report", "retention", "--policy", "sales-retention")["policies"]
    assert reported["records"] == 7


def test_a_hold_that_matches_nothing_is_taken_back(shop: Tend) -> None:
    mistyped = shop("hold", "add", "CASE-7", "--subject", "userId=66f0", *WHY)
    assert mistyped.code == 1
    assert "the hold was taken back" in mistyped.err
    assert shop.json("hold", "list")["holds"] == []
    (ended,) = shop.json("hold", "list", "--all")["holds"]
    assert ended["release_reason"] == "it matched nothing"


def test_an_anticipatory_hold_stands_though_nothing_matches_yet(shop: Tend) -> None:
    later = "66f0c1d2e3a4b5c6d7e8f902"
    subject = ("--subject", f"userId={later}")
    shop.json("hold", "add", "CASE-8", *subject, "--anticipatory", *WHY)
    shop.shop.salesData.insert_one({"_id": 50, "userId": later, "createdAt": ago(3000)})
    shop.json("run", "sales-retention", "--reason", "x", "--yes", "--inline")
    assert [sale["_id"] for sale in shop.shop.salesData.find()] == [50]


def test_ttl_indexes_are_warned_of(shop: Tend) -> None:
    shop.shop.sessions.create_index("lastActivity", expireAfterSeconds=60)
    told = shop("hold", "add", "CASE-7", *SUBJECT, *WHY)
    line = "the TTL index lastActivity_1 of mongo/sessions deletes records, hold or not"
    assert line in told.out


def test_a_list_masks_values_and_a_case_shows_them(shop: Tend) -> None:
    shop.json("hold", "add", "CASE-7", *SUBJECT, *WHY)
    listed = shop("hold", "list")
    assert USER not in listed.out
    assert "CASE-7" in listed.out
    assert f"userId={USER}" in shop("hold", "show", "CASE-7").out


def test_releasing_frees_the_records_and_tells_who_and_why(shop: Tend) -> None:
    shop.json("hold", "add", "CASE-7", *SUBJECT, *WHY)
    (ended,) = shop.json("hold", "release", "CASE-7", "--reason", "closed")["holds"]
    assert ended["release_reason"] == "closed"
    shop.json("run", "sales-retention", "--reason", "x", "--yes", "--inline")
    assert shop.shop.salesData.count_documents({}) == 0


def test_releasing_takes_a_token_outside_of_development(shop: Tend) -> None:
    shop.json("hold", "add", "CASE-7", *SUBJECT, *WHY)
    keys = "aWYgeW91IGNhbiByZWFkIHRoaXMsIGl0IGlzIGEgdGU="
    shop.setting("TEND_KEYS", keys)
    shop.setting("TEND_AUDIT_KEYS", keeping.KEY)
    shop.setting("TEND_ENV", "production")
    refused = shop("hold", "release", "CASE-7", "--reason", "closed")
    assert refused.code == 1
    assert "takes a token" in refused.err


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (("add", "C", "--subject", "userID=1", *WHY), "did you mean 'userId'?"),
        (("add", "C", "--subject", "userId", *WHY), "--subject is NAME=VALUE"),
        (("add", "C", "--subject", "userId=1", "--reason", " "), "--reason is empty"),
        (("release", "C", "--reason", "x"), "No such hold stands; none does."),
        (("show", "C"), "There is no hold of case 'C'"),
    ],
)
def test_bad_usage_is_one_sentence(tend: Tend, words: tuple[str, ...], complaint: str) -> None:
    ended = tend("hold", *words)
    assert ended.code == 2
    assert complaint in ended.err
    assert ended.err.count("\n") == 1
