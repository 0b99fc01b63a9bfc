"""`tend lockout`: what a person asks, and what they do about it."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from bson import ObjectId

from tests.worker.cli.conftest import Tend

ANN = ObjectId()
ADDRESS = "203.0.113.7"
WHY = ("--reason", "SEC-5: a test")
SHIPPED = Path(__file__).parents[3] / "policies" / "login-lockout.yaml"


@pytest.fixture
def shop(bare: Tend) -> Tend:
    """Ann's account, and five failures of hers from one address a minute ago."""
    bare.shop.users.insert_one({"_id": ANN, "email": "ann@example.org"})
    bare.shop.loginevents.create_index("timestamp")
    bare.shop.loginevents.insert_many([failure(60 + number) for number in range(5)])
    return bare


def failure(ago: int, who: Any = ANN, address: str = ADDRESS) -> dict[str, Any]:
    at = datetime.now(UTC) - timedelta(seconds=ago)
    return {"userId": who, "ipAddress": address, "outcome": "failure", "timestamp": at}


def run(tend: Tend) -> dict[str, Any]:
    return tend.json("run", "login-lockout", "--inline", "--yes", *WHY)


def user(tend: Tend) -> dict[str, Any]:
    return tend.shop.users.find_one({"_id": ANN}) or {}


def test_what_stands_is_listed_and_explained_down_to_its_events(shop: Tend) -> None:
    assert run(shop)["changed"] == 2
    listed = shop.json("lockout", "list")["decisions"]
    assert [(each["kind"], each["user"], each["address"]) for each in listed] == [
        ("lock", str(ANN), ADDRESS),
        ("block", str(ANN), ADDRESS),
    ]
    by_name = shop.json("lockout", "explain", "Ann@example.org")
    assert by_name["in_target"]["isLocked"] is True
    events = by_name["decisions"][0]["events"]
    assert len(events) == 5
    assert {event["source"] for event in events} == {"loginevents"}
    places = {str(each["_id"]) for each in shop.shop.loginevents.find()}
    assert {event["place"] for event in events} == places
    by_address = shop.json("lockout", "explain", ADDRESS)
    assert [each["kind"] for each in by_address["decisions"]] == ["lock", "block"]
    assert len(by_address["in_target"]["blocked"]) == 1
    said = shop("lockout", "explain", str(ANN)).out
    assert f"user {ANN}: locked until" in said
    assert "failures, in force" in said


def test_a_release_names_what_still_blocks_and_survives_the_old_events(shop: Tend) -> None:
    run(shop)
    released = shop.json("lockout", "release", "ann@example.org", *WHY)
    assert released["unlocked"] is True
    assert [each["address"] for each in released["still_blocked"]] == [ADDRESS]
    assert user(shop) == {"_id": ANN, "email": "ann@example.org", "isLocked": False}
    assert run(shop)["planned"] == 0
    again = shop.json("lockout", "release", str(ANN), "--with-addresses", *WHY)
    assert again["still_blocked"] == []
    assert shop.shop.ipblacklists.count_documents({}) == 0
    assert run(shop)["planned"] == 0
    assert shop.json("lockout", "list")["decisions"] == []


def test_a_release_ends_what_is_asked_of_a_user_beside_the_password(shop: Tend) -> None:
    shop.shop.loginevents.insert_many([failure(9, address=f"198.51.100.{n}") for n in range(10)])
    run(shop)
    assert "stepUpUntil" in user(shop)
    explained = shop.json("lockout", "explain", str(ANN))
    assert explained["in_target"]["stepUpUntil"] is not None
    assert shop.json("lockout", "release", str(ANN), *WHY)["step_up_ended"] is True
    assert "stepUpUntil" not in user(shop)


def test_a_log_that_is_not_there_is_said_where_decisions_are_listed(
    shop: Tend, tmp_path: Path
) -> None:
    shop.patch.chdir(tmp_path)
    assert shop.json("lockout", "list")["no_such_log"] == {"login-lockout": ["logs/security-*.log"]}
    assert "no file is named logs/security-*.log here" in shop("lockout", "list").err


def test_an_address_is_released_by_itself(shop: Tend) -> None:
    run(shop)
    assert shop.json("lockout", "release", ADDRESS, *WHY)["released"] == [2]
    assert shop.shop.ipblacklists.count_documents({}) == 0
    assert user(shop)["isLocked"] is True
    assert run(shop)["planned"] == 0


def test_a_persons_lock_without_an_end_stays_and_is_said(shop: Tend) -> None:
    shop.shop.users.update_one({"_id": ANN}, {"$set": {"isLocked": True}})
    released = shop.json("lockout", "release", str(ANN), *WHY)
    assert (released["unlocked"], released["locked_by_a_person"]) == (False, True)
    assert user(shop)["isLocked"] is True


def test_a_replay_says_what_a_policy_would_have_done_and_writes_nothing(
    shop: Tend, tmp_path: Path
) -> None:
    text = SHIPPED.read_text().replace("failures: 5", "failures: 3")
    (tmp_path / "stricter.yaml").write_text(text)
    today = datetime.now(UTC)
    period = ("--from", (today - timedelta(days=1)).isoformat(), "--to", today.isoformat())
    shipped = shop.json("lockout", "replay", "--policy", "login-lockout", *period)
    assert [(each["kind"], each["user"], each["attempts"]) for each in shipped["decisions"]] == [
        ("lock", str(ANN), 5),
        ("block", str(ANN), 5),
    ]
    stricter = shop.json("lockout", "replay", "--policy", str(tmp_path / "stricter.yaml"), *period)
    assert [each["attempts"] for each in stricter["decisions"]] == [3, 3]
    assert stricter["decisions"][0]["at"] < shipped["decisions"][0]["at"]
    assert shop.json("lockout", "list", "--all")["decisions"] == []
    assert "isLocked" not in user(shop)


def test_a_person_blocks_allows_and_locks(shop: Tend) -> None:
    shop.json("lockout", "block", "198.51.100.9", "--for", "2h", *WHY)
    (entry,) = shop.shop.ipblacklists.find()
    assert entry["expiresAt"] - entry["blockedAt"] == timedelta(hours=2)
    assert shop("lockout", "block", "198.51.100.9", *WHY).code == 2
    shop.json("lockout", "allow", "203.0.113.0/24", *WHY)
    assert run(shop)["changed"] == 2
    assert shop.shop.ipblacklists.count_documents({}) == 1
    shop.json("lockout", "release", str(ANN), *WHY)
    shop.json("lockout", "lock", "ann@example.org", "--for", "1h", *WHY)
    assert user(shop)["lockedUntil"] - user(shop)["lockedAt"] == timedelta(hours=1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("block", "198.51.100.9", "--for", "soon"), "no length of time"),
        (("block", "bob", "--for", "1h"), "is no address"),
        (("allow", "everywhere"), "no network"),
        (("lock", "nobody@example.org"), "No account bears the name"),
        (("release", "  "), "neither a user nor an address"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    shop: Tend, words: tuple[str, ...], says: str
) -> None:
    ended = shop("lockout", *words, *WHY)
    assert ended.code == 2
    assert says in ended.err
    assert shop.shop.ipblacklists.count_documents({}) == 0


def test_what_a_person_did_is_in_the_audit_without_a_name_or_an_address(shop: Tend) -> None:
    shop.json("lockout", "block", "198.51.100.9", *WHY)
    shop.json("lockout", "release", "ann@example.org", *WHY)
    entries = shop("audit", "list", "--json").out
    assert "lockout_block_by_hand" in entries
    assert "lockout_released" in entries
    assert "198.51.100.9" not in entries
    assert "ann@example.org" not in entries


BEFORE = ("--from", "2020-01-01", "--to", "2021-01-01")
PERIOD = ("--from", "2020-01-01", "--to", "2999-01-01")


def test_a_report_counts_the_locks_of_a_period_and_finds_them_as_they_should_be(shop: Tend) -> None:
    run(shop)
    said = shop.json("lockout", "report", *PERIOD)
    assert said["decisions"] == {"block": 1, "lock": 1}
    assert (said["most_attempts"], said["shortest_minutes"]) == (5, 30)
    assert said["exceptions"] == []
    assert shop.json("lockout", "report", *BEFORE)["decisions"] == {}
    assert "nothing was decided" in shop("lockout", "report", *BEFORE).out


def test_a_report_lists_a_lock_that_a_person_lifted_early_or_made_short(shop: Tend) -> None:
    run(shop)
    shop.json("lockout", "release", str(ANN), *WHY)
    shop.json("lockout", "lock", str(ANN), "--for", "5m", *WHY)
    said = shop.json("lockout", "report", *PERIOD)
    assert [each["why"] for each in said["exceptions"]] == [
        "lifted early",
        "shorter than 30 minutes",
    ]
    assert said["exceptions"][0]["lift_reason"] == "SEC-5: a test"
    table = shop("lockout", "report", *PERIOD).out
    assert "lifted early" in table
    assert str(ANN) not in table
