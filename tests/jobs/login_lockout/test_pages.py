"""Lockouts in the console: what stands, its evidence, and release by whoever may."""

import re

import pytest
from bson import ObjectId

from tests.worker.console.api.attack import ADDRESS, ANN, attacked
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

BOB = ObjectId()


@pytest.fixture
def locked(api: Api) -> Api:
    """Ann is attacked, and Bob is not."""
    api.tend.shop.users.insert_one({"_id": BOB, "email": "bob@example.org"})
    return attacked(api)


def of(browser: Browser, kind: str) -> str:
    """The page of the newest decision of a kind."""
    html = browser.get("/lockouts").body.decode()
    found = re.search(rf'href="(/lockouts/\d+)">{kind} ', html)
    assert found is not None, html
    return found[1]


def is_locked(api: Api) -> bool:
    return bool((api.tend.shop.users.find_one({"_id": ANN}) or {}).get("isLocked"))


def test_an_operator_reads_the_evidence_of_a_lock_and_releases_it_with_its_address(
    locked: Api,
) -> None:
    browser = entered(locked.database, locked.port, "operator")
    assert '<a href="/lockouts"' in browser.get("/").body.decode()
    assert "2 in force" in text_of(browser.get("/lockouts"))
    page = browser.get(of(browser, "lock"))
    assert "why failures" in text_of(page)
    assert "locked yes" in text_of(page)
    evidence = re.search(r'aria-label="Evidence">.*?</table>', page.body.decode(), re.DOTALL)
    assert evidence is not None
    assert evidence[0].count(f">{ADDRESS}<") == 5
    sent = browser.send(f"{of(browser, 'lock')}/release", reason="SEC-5", with_addresses="yes")
    assert sent.status == 303, text_of(sent)
    assert "locked no" in text_of(browser.get(sent.headers["Location"]))
    assert not is_locked(locked)
    assert locked.tend.shop.ipblacklists.count_documents({}) == 0
    listed = text_of(browser.get("/lockouts"))
    assert "Nobody is locked" in listed
    assert "operator-ann: SEC-5" in listed
    (entry,) = locked.get("/audit?action=lockout_released")["entries"]
    assert (entry["actor"], entry["body"]["detail"]["reason"]) == ("operator-ann", "SEC-5")


def test_releasing_a_user_leaves_the_address_blocked_unless_it_is_asked_for(locked: Api) -> None:
    browser = entered(locked.database, locked.port, "operator")
    browser.send(f"{of(browser, 'lock')}/release", reason="SEC-5")
    assert locked.tend.shop.ipblacklists.count_documents({}) == 1
    assert "1 in force" in text_of(browser.get("/lockouts"))
    assert "blocked" in text_of(browser.get(of(browser, "block")))
    browser.send(f"{of(browser, 'block')}/release", reason="SEC-6")
    assert "It is not blocked." in text_of(browser.get(of(browser, "block")))
    assert locked.tend.shop.ipblacklists.count_documents({}) == 0


def test_a_release_takes_a_reason_that_names_no_person(locked: Api) -> None:
    browser = entered(locked.database, locked.port, "operator")
    for reason in ("", "ann@example.org called"):
        answer = browser.send("/lockouts/1/release", reason=reason)
        assert (answer.status, "--reason" in text_of(answer)) == (422, True)
    assert is_locked(locked)


def test_a_viewer_sees_no_lockout_and_releases_none(locked: Api) -> None:
    browser = entered(locked.database, locked.port, "viewer")
    assert 'href="/lockouts"' not in browser.get("/").body.decode()
    for answer in (
        browser.get("/lockouts"),
        browser.get("/lockouts/1"),
        browser.send("/lockouts/explain", subject="ann@example.org"),
        browser.send("/lockouts/1/release", reason="SEC-5"),
    ):
        assert answer.status == 403
        assert "viewer-ann is a viewer" in text_of(answer)
        assert "ann@example.org" not in text_of(answer)
    assert is_locked(locked)


def test_somebody_is_found_by_name_in_a_form_and_not_in_an_address(locked: Api) -> None:
    browser = entered(locked.database, locked.port, "operator")
    page = text_of(browser.send("/lockouts/explain", subject="ann@example.org"))
    assert "Lock 1" in page
    assert "Other decisions about them block 2" in page
    nobody = text_of(browser.send("/lockouts/explain", subject="bob@example.org"))
    assert "Nothing was ever decided about them." in nobody
    assert "locked no" in nobody
    assert browser.send("/lockouts/explain", subject=" ").status == 422


def test_a_lockout_that_there_is_not_is_said_so(api: Api) -> None:
    browser = entered(api.database, api.port, "operator")
    for lockout in ("99", "x", "9" * 30):
        answer = browser.get(f"/lockouts/{lockout}")
        assert (answer.status, "There is no decision" in text_of(answer)) == (404, True)
    assert browser.send("/lockouts/99/release", reason="SEC-5").status == 404


def test_what_somebody_typed_as_their_name_is_no_markup(api: Api) -> None:
    evil = "<img src=x onerror=alert(1)>"
    api.tend.shop.users.insert_one({"_id": ANN, "email": evil})
    api.does("/lockouts/lock", subject=str(ANN))
    api.tend.shop.users.update_one({"_id": ANN}, {"$set": {"email": "ann@example.org"}})
    browser = entered(api.database, api.port, "operator")
    for path in ("/lockouts", of(browser, "lock")):
        assert b"<img" not in browser.get(path).body
    assert "A person decided it by hand" in text_of(browser.get(of(browser, "lock")))
