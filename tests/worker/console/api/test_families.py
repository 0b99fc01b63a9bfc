"""What job families bring to the API: lockouts and stores, by the functions of their commands."""

from datetime import UTC, datetime, timedelta

import pytest

from tests.jobs.pos_sync.conftest import shop
from tests.jobs.pos_sync.provider import Answer, Asked, Provider, said
from tests.worker.console.api.attack import ADDRESS, ANN, attacked
from tests.worker.console.api.conftest import WHY, Api

__all__ = ["shop"]
THE_STORE = {"_id": "1", "name": "Camp", "platform": "rest"}


@pytest.fixture
def locked(api: Api) -> Api:
    return attacked(api)


def test_a_lock_is_listed_explained_and_released_on_record(locked: Api) -> None:
    listed = locked("GET", "/lockouts").json["decisions"]
    assert [each["kind"] for each in listed] == ["lock", "block"]
    whom = {"subject": "ann@example.org"}
    explained = locked("POST", "/lockouts/explain", whom).json
    assert explained == locked.tend.json("lockout", "explain", "ann@example.org")
    assert len(explained["decisions"][0]["events"]) == 5
    released = locked.does("/lockouts/release", subject=str(ANN), with_addresses=True)
    assert (released["unlocked"], released["still_blocked"]) == (True, [])
    assert locked("GET", "/lockouts").json["decisions"] == []
    (entry,) = locked.get("/audit?action=lockout_released")["entries"]
    assert (entry["actor"], entry["body"]["detail"]["reason"]) == ("operator-1", WHY["reason"])


def test_an_account_is_locked_and_an_address_blocked_or_spared_for_a_while(api: Api) -> None:
    api.tend.shop.users.insert_one({"_id": ANN, "email": "ann@example.org"})
    api.does("/lockouts/lock", subject=str(ANN), length="1h")
    assert (api.tend.shop.users.find_one({"_id": ANN}) or {})["isLocked"] is True
    api.does("/lockouts/block", subject=ADDRESS)
    assert api.tend.shop.ipblacklists.count_documents({"ipAddress": ADDRESS}) == 1
    api.does("/lockouts/allow", subject="198.51.100.0/24")
    wrong = api("POST", "/lockouts/lock", {**WHY, "subject": str(ANN), "length": "for ever"})
    assert (wrong.status, wrong.json["error"]["code"]) == (422, "usage")


def test_the_locks_of_a_period_are_counted_and_history_is_replayed(locked: Api) -> None:
    now = datetime.now(UTC)
    begin, end = (f"{now + timedelta(days=days):%Y-%m-%d}" for days in (-1, 2))
    report = locked.get(f"/lockouts/report?from={begin}&to={end}")
    assert report == locked.tend.json("lockout", "report", "--from", begin, "--to", end)
    asked = {"policy": "login-lockout", "begin": begin, "end": end}
    assert len(locked("POST", "/lockouts/replay", asked).json["decisions"]) == 2
    elsewhere = {**asked, "policy": "/etc/passwd.yaml"}
    assert locked("POST", "/lockouts/replay", elsewhere).status == 422


def camp(asked: Asked) -> Answer:
    if asked.headers.get("authorization") != "Bearer HUSH":
        return said({"error": "ACCESS_TOKEN_REVOKED"}, 401)
    return said({"status": "ok"})


def test_a_store_is_shown_checked_and_muted(api: Api, shop: Provider) -> None:
    options = f"options: {{stores_in: [mongo], private_hosts: ['{shop.place}']}}\n"
    for name in ("pos-sync", "pos-sync-retry"):
        api.tend.policy(name, options)
    api.tend.shop.products.create_index(["storeId", "externalId"], unique=True)
    api.tend.shop.stores.insert_one({**THE_STORE, "shopDomain": shop.url})
    shop.route = camp
    checked = api.does("/stores/check", store="Camp")
    assert (checked["store"], checked["ended"]) == ("mongo/1", "failed")
    (store,) = api.get("/stores")["stores"]
    assert store == api.tend.json("pos", "status")["stores"][0]
    assert api.get("/stores/steps?store=Camp")["store"] == "mongo/1"
    muted = api.does("/stores/mute", store="mongo/1", until="2030-01-01")
    assert muted["muted_until"] == "2030-01-01T00:00:00+00:00"
    assert api("POST", "/stores/sync", {**WHY, "store": "Nowhere"}).status == 422
    actions = [each["action"] for each in api.get("/audit?actor=operator-1")["entries"]]
    assert actions == ["pos_check", "pos_mute"]
