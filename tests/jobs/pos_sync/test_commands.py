"""`tend pos`, as a person gives it: over real sockets, with real servers."""

import io
import json
import sys
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.jobs.pos_sync.provider import Answer, Asked, Provider, said
from tests.worker.cli.conftest import (
    Tend,
    bare,
    logging_as_it_was,
    unmigrated,
)

__all__ = ["bare", "logging_as_it_was", "unmigrated"]

BECAUSE = ("--reason", "CASE-7")


@pytest.fixture
def tend(bare: Tend, shop: Provider) -> Tend:
    """Two stores of one name and one of another, all at the provider."""
    options = f"options: {{stores_in: [mongo], private_hosts: ['{shop.place}']}}\n"
    bare.policy("pos-sync", options)
    bare.policy("pos-sync-retry", options)
    bare.shop.products.create_index(["storeId", "externalId"], unique=True)
    stores = [("1", "Camp"), ("2", "Twin"), ("3", "Twin")]
    bare.shop.stores.insert_many(
        [
            {"_id": key, "name": name, "platform": "rest", "shopDomain": shop.url}
            for key, name in stores
        ]
    )
    shop.route = good
    return bare


def good(asked: Asked) -> Answer:
    if asked.headers.get("authorization") != "Bearer HUSH":
        return said({"error": "ACCESS_TOKEN_REVOKED"}, 401)
    if asked.path == "/status":
        return said({"status": "ok"})
    rows = [{"id": "p1", "name": "Tent", "price": "1.10", "updated_at": "2026-01-01T00:00:00Z"}]
    return said({"products": rows, "next_cursor": None})


def type_in(tend: Tend, token: str) -> None:
    """Standard input, as `echo … |` gives it."""
    tend.patch.setattr(sys, "stdin", io.StringIO(json.dumps({"access_token": token})))


def store(tend: Tend, key: str) -> dict[str, Any]:
    stores = tend.json("pos", "status")["stores"]
    return next(one for one in stores if one["store"] == key)


def test_credentials_are_set_checked_and_used(tend: Tend) -> None:
    type_in(tend, "HUSH")
    ended = tend("pos", "credentials", "set", "Camp", *BECAUSE)
    assert (ended.code, ended.out) == (0, "mongo/1 is synced: 1 records, 0 deleted.\n")
    assert tend.shop.products.count_documents({"storeId": "1"}) == 1
    found = store(tend, "mongo/1")
    assert (found["state"], found["error"], found["breaker"]) == ("healthy", None, "closed")
    entries = tend.json("audit", "list")["entries"]
    actions = [entry["body"]["action"] for entry in entries]
    assert actions[-3:] == ["pos_credentials_set", "pos_check", "pos_sync_by_hand"]
    assert "HUSH" not in json.dumps(entries)


def test_credentials_that_do_not_work_are_said_not_to(tend: Tend) -> None:
    type_in(tend, "WRONG")
    ended = tend("pos", "credentials", "set", "mongo/1", *BECAUSE)
    assert ended.code == 1
    assert "the authorisation was taken back" in ended.out
    assert "WRONG" not in ended.out + ended.err


def test_what_is_no_credentials_is_refused_without_being_shown(tend: Tend) -> None:
    tend.patch.setattr(sys, "stdin", io.StringIO("HUSH"))
    ended = tend("pos", "credentials", "set", "Camp", *BECAUSE)
    assert ended.code == 2
    assert "give one JSON object with access_token" in ended.err
    assert "HUSH" not in ended.err


def test_a_sync_by_hand_says_what_is_missing_and_the_steps_say_what_to_do(tend: Tend) -> None:
    ended = tend("pos", "sync", "1", *BECAUSE)
    assert ended.code == 1
    assert "no credentials are set" in ended.out
    assert store(tend, "mongo/1")["state"] == "needs_person"
    steps = tend("pos", "steps", "1")
    assert "create a token that may read products" in steps.out
    assert "What is wrong: no credentials are set" in steps.out


def test_a_name_of_two_stores_is_refused(tend: Tend) -> None:
    ended = tend("pos", "sync", "Twin", *BECAUSE)
    assert ended.code == 2
    assert "'Twin' is the name of mongo/2, mongo/3" in ended.err
    unknown = tend("pos", "sync", "Nobody", *BECAUSE)
    assert unknown.code == 2
    assert "there are mongo/1, mongo/2, mongo/3" in unknown.err


def test_a_diff_is_approved_by_its_digest(tend: Tend, shop: Provider) -> None:
    type_in(tend, "HUSH")
    assert tend("pos", "credentials", "set", "Camp", *BECAUSE).code == 0
    tend.shop.products.insert_many(
        [{"storeId": "1", "externalId": f"old {number}"} for number in range(3)]
    )
    tend.shop.tend_pos_passes.update_one({"_id": "mongo/1"}, {"$set": {"whole_at": None}})
    ended = tend("pos", "sync", "Camp", *BECAUSE)
    assert ended.code == 1
    assert "too many products would vanish" in ended.out
    diff = store(tend, "mongo/1")["diff"]
    assert "It would delete old 0, old 1, old 2. " in ended.out
    assert f"--approve {diff}" in ended.out
    again = tend("pos", "sync", "Camp", *BECAUSE, "--json").json
    assert (again["vanishing"], again["diff"]) == (["old 0", "old 1", "old 2"], diff)
    asked = len(shop.asked)
    assert tend("pos", "sync", "Camp", "--approve", diff, *BECAUSE).code == 0
    assert len(shop.asked) == asked
    assert tend.shop.products.count_documents({}) == 1


def test_check_again_brings_a_store_back(tend: Tend) -> None:
    type_in(tend, "WRONG")
    tend("pos", "credentials", "set", "Camp", *BECAUSE)
    assert tend("pos", "check", "Camp", *BECAUSE).code == 1
    type_in(tend, "HUSH")
    assert tend("pos", "credentials", "set", "Camp", *BECAUSE).code == 0
    checked = tend.json("pos", "check", "Camp", *BECAUSE)
    assert (checked["ended"], checked["records"]) == ("synced", 1)


def test_a_store_is_muted_until_a_day(tend: Tend) -> None:
    muted = tend.json("pos", "mute", "Camp", "--until", "2999-12-31", *BECAUSE)
    assert muted["muted_until"] == "2999-12-31T00:00:00+00:00"
    wrong = tend("pos", "mute", "Camp", "--until", "soon", *BECAUSE)
    assert wrong.code == 2
    assert "'soon' is no day" in wrong.err


def test_the_status_says_whose_matter_it_is_and_when_something_happens(
    tend: Tend, shop: Provider
) -> None:
    type_in(tend, "HUSH")
    assert tend("pos", "credentials", "set", "Camp", *BECAUSE).code == 0
    shop.route = lambda _asked: Answer(404, b"{}")
    for _ in range(4):
        tend("pos", "sync", "Camp", *BECAUSE)
    found = store(tend, "mongo/1")
    assert (found["state"], found["cause"], found["error"]) == ("error", "us", "rejected")
    assert found["next_attempt"] > found["data_as_of"]
    line = next(line for line in tend("pos", "status").out.splitlines() if "mongo/1" in line)
    assert line.split()[:4] == ["mongo/1", "Camp", "error", "us"]
    assert " old " in line
    assert " in " in line
    never = next(line for line in tend("pos", "status").out.splitlines() if "mongo/2" in line)
    assert "never" in never


def test_the_end_of_a_login_is_counted_down(tend: Tend) -> None:
    ends = (datetime.now(UTC) + timedelta(days=3, hours=1)).isoformat()
    text = json.dumps({"access_token": "HUSH", "access_expires": ends})
    tend.patch.setattr(sys, "stdin", io.StringIO(text))
    assert tend("pos", "credentials", "set", "Camp", *BECAUSE).code == 0
    line = next(line for line in tend("pos", "status").out.splitlines() if "mongo/1" in line)
    assert line.rstrip().endswith("in 3 d")


def test_without_redis_no_sync_is_made(tend: Tend, shop: Provider) -> None:
    tend.setting("TEND_REDIS_URL", "redis://127.0.0.1:9/0")
    ended = tend("pos", "sync", "Camp", *BECAUSE)
    assert ended.code == 1
    assert "Redis does not answer" in ended.err
    assert shop.asked == []
    status = tend("pos", "status")
    assert status.code == 0
