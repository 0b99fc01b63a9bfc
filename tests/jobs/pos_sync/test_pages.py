"""Stores in the console: how they are, what to do, and the three things a person can ask for."""

import re

import pytest
import redis

from jobs.pos_sync.breaker import ENOUGH, Breaker
from tests.jobs.pos_sync.provider import Provider
from tests.jobs.pos_sync.test_commands import good
from tests.worker.console.api.conftest import (
    Api,
    api,
    bare,
    logging_as_it_was,
    site,
    tend,
    unmigrated,
)
from tests.worker.console.people import Browser, entered, text_of

__all__ = ["api", "bare", "logging_as_it_was", "site", "tend", "unmigrated"]
pytestmark = pytest.mark.sqlite_control

CAMP, EVIL = "mongo/1", "<img src=x onerror=alert(1)>"


@pytest.fixture
def stores(api: Api, shop: Provider) -> Api:
    """Two stores whose provider refuses them, for nobody has set their credentials."""
    options = f"options: {{stores_in: [mongo], private_hosts: ['{shop.place}']}}\n"
    for name in ("pos-sync", "pos-sync-retry"):
        api.tend.policy(name, options)
    api.tend.shop.products.create_index(["storeId", "externalId"], unique=True)
    api.tend.shop.stores.insert_many(
        [
            {"_id": key, "name": name, "platform": "rest", "shopDomain": shop.url}
            for key, name in (("1", "Camp"), ("2", EVIL))
        ]
    )
    shop.route = good
    return api


def trouble(redis_url: str) -> None:
    """Camp's breaker opens."""
    with redis.Redis.from_url(redis_url) as client:
        breaker = Breaker(client)
        for _ in range(ENOUGH):
            breaker.record(CAMP, breaker.acquire(CAMP).generation, good=False)


def listed(browser: Browser, state: str = "") -> list[str]:
    return re.findall(r'id="to-([^"]+)"', browser.get(f"/stores?state={state}").body.decode())


def test_an_operator_checks_syncs_and_mutes_a_store_and_each_is_on_record(stores: Api) -> None:
    browser = entered(stores.database, stores.port, "operator")
    assert "There are no such stores" in text_of(browser.get("/stores"))
    for asked in ("check", "sync"):
        answer = browser.send(f"/stores/{asked}", store=CAMP, reason="CASE-7")
        assert (answer.status, "no credentials are set" in text_of(answer)) == (409, True)
    assert listed(browser) == [CAMP, "mongo/2"]
    assert listed(browser, "needs_person") == [CAMP]
    assert listed(browser, "healthy") == ["mongo/2"]
    page = text_of(browser.get(f"/stores/{CAMP}"))
    assert "class no credentials" in page
    assert stores.get(f"/stores/steps?store={CAMP}")["text"].split("\n")[0] in page
    assert "Tell us when it is done" in page
    wrong = browser.send("/stores/mute", store=CAMP, reason="CASE-8", until="soon")
    assert (wrong.status, "Until when is a day" in text_of(wrong)) == (422, True)
    muted = browser.send("/stores/mute", store=CAMP, reason="CASE-8", until="2999-12-31")
    assert (muted.status, muted.headers["Location"]) == (303, f"/stores/{CAMP}")
    assert "muted until 2999-12-31" in text_of(browser.get(f"/stores/{CAMP}"))
    entries = stores.get("/audit?actor=operator-ann")["entries"]
    said = [(each["action"], each["body"]["detail"].get("reason")) for each in entries]
    assert [one for one in said if one[1] is not None] == [
        ("pos_check", "CASE-7"),
        ("pos_sync_by_hand", "CASE-7"),
        ("pos_mute", "CASE-8"),
    ]


def test_an_open_breaker_says_when_somebody_may_probe(stores: Api, redis_url: str) -> None:
    browser = entered(stores.database, stores.port, "operator")
    browser.send("/stores/check", store=CAMP, reason="CASE-7")
    trouble(redis_url)
    for path in (f"/stores/{CAMP}", "/stores", "/stores-now"):
        html = browser.get(path).body.decode()
        left = re.search(r'data-left="(\d+)"', html)
        assert left is not None, path
        assert 0 < int(left[1]) <= 60, path
    waits = browser.send("/stores/sync", store=CAMP, reason="CASE-7")
    assert waits.status in {409, 422}


def test_a_viewer_looks_at_stores_and_is_offered_no_change(stores: Api) -> None:
    operator = entered(stores.database, stores.port, "operator")
    operator.send("/stores/check", store=CAMP, reason="CASE-7")
    browser = entered(stores.database, stores.port, "viewer")
    page = browser.get(f"/stores/{CAMP}")
    assert page.status == 200
    assert b'action="/stores/' not in page.body
    for asked in ("check", "sync", "mute"):
        answer = browser.send(f"/stores/{asked}", store=CAMP, reason="CASE-7")
        assert (answer.status, "viewer-ann is a viewer" in text_of(answer)) == (403, True)


def test_a_store_that_there_is_not_is_said_so_and_a_name_is_no_markup(stores: Api) -> None:
    browser = entered(stores.database, stores.port, "operator")
    for path in ("mongo/9", "x", "check"):
        answer = browser.get(f"/stores/{path}")
        assert (answer.status, "No store is called" in text_of(answer)) == (422, True)
    browser.send("/stores/check", store="mongo/2", reason="CASE-7")
    for path in ("/stores", "/stores/mongo/2"):
        answer = browser.get(path)
        assert b"<img" not in answer.body
        assert EVIL in text_of(answer)
