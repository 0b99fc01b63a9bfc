"""The API for a browser in which somebody is logged in: with its cookie, and never without csrf."""

from collections.abc import Mapping
from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, update

from tests.worker.console.api.conftest import WHY, Api
from tests.worker.console.conftest import Answer
from tests.worker.console.people import Browser
from tests.worker.test_users import ADMIN, PASSWORD
from worker import database, users
from worker.console import sessions
from worker.console.asking import CSRF
from worker.identity import Role
from worker.tables import ConsoleSession

ENABLE = "/policies/sales-retention/enable"


@pytest.fixture
def ann(api: Api) -> Browser:
    """An operator who is logged in."""
    users.create(api.database, "ann", Role.OPERATOR, PASSWORD, ADMIN)
    browser = Browser(api.port)
    assert browser.log_in("ann", PASSWORD).status == 303
    return browser


def asks(
    api: Api, browser: Browser, method: str, path: str, headers: Mapping[str, str] | None = None
) -> Answer:
    cookie = f"tend={browser.cookies['tend']}"
    body = WHY if method == "POST" else None
    return api(method, path, body, as_="", headers={"Cookie": cookie, **(headers or {})})


def enabled(api: Api) -> list[str]:
    return [entry["body"]["actor"] for entry in api.get("/audit?action=policy_enabled")["entries"]]


def test_who_is_logged_in_may_look_and_with_csrf_change(api: Api, ann: Browser) -> None:
    assert asks(api, ann, "GET", "/policies").status == 200
    answer = asks(api, ann, "POST", ENABLE, {CSRF: ann.csrf()})
    assert answer.status == 200, answer.body
    (entry,) = api.get("/audit?action=policy_enabled")["entries"]
    assert (entry["body"]["actor"], entry["body"]["actor_proof"]) == ("ann", "session")
    assert entry["body"]["actor_token"].startswith("s-")


def test_a_change_without_the_csrf_of_its_session_is_refused(api: Api, ann: Browser) -> None:
    users.create(api.database, "bob", Role.OPERATOR, PASSWORD, ADMIN)
    bob = Browser(api.port)
    bob.log_in("bob", PASSWORD)
    for sent in ({}, {CSRF: ""}, {CSRF: "0" * 64}, {CSRF: bob.csrf()}):
        answer = asks(api, ann, "POST", ENABLE, sent)
        assert (answer.status, answer.json["error"]["code"]) == (403, "not_allowed")
        assert f"a change carries the header {CSRF}" in answer.json["error"]["message"]
    assert enabled(api) == []


@pytest.mark.parametrize(
    "foreign",
    [
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-site"},
    ],
    ids=str,
)
def test_a_change_that_a_page_of_others_sends_is_refused(
    api: Api, ann: Browser, foreign: dict[str, str]
) -> None:
    answer = asks(api, ann, "POST", ENABLE, {CSRF: ann.csrf(), **foreign})
    assert answer.status == 403
    assert "not the console's own" in answer.json["error"]["message"]
    assert enabled(api) == []


def test_a_change_from_a_page_of_our_own_is_taken(api: Api, ann: Browser) -> None:
    own = {"Origin": f"http://127.0.0.1:{api.port}", "Sec-Fetch-Site": "same-origin"}
    assert asks(api, ann, "POST", ENABLE, {CSRF: ann.csrf(), **own}).status == 200


def test_roles_bind_a_session_as_they_bind_a_token(api: Api) -> None:
    users.create(api.database, "vic", Role.VIEWER, PASSWORD, ADMIN)
    vic = Browser(api.port)
    vic.log_in("vic", PASSWORD)
    answer = asks(api, vic, "POST", ENABLE, {CSRF: vic.csrf()})
    assert answer.status == 403
    assert "vic is a viewer" in answer.json["error"]["message"]


def test_a_token_counts_before_the_cookie_and_needs_no_csrf(api: Api, ann: Browser) -> None:
    token = {"Authorization": f"Bearer {api.tokens['operator']}"}
    assert asks(api, ann, "POST", ENABLE, token).status == 200
    assert enabled(api) == ["operator-1"]
    wrong = {"Authorization": f"Bearer tend_1_{64 * '0'}", CSRF: ann.csrf()}
    assert asks(api, ann, "POST", ENABLE, wrong).status == 401


def test_a_session_that_has_ended_lets_nobody_in(api: Api, ann: Browser) -> None:
    csrf = ann.csrf()
    users.disable(api.database, "ann", ADMIN)
    for method, path in (("GET", "/policies"), ("POST", ENABLE)):
        answer = asks(api, ann, method, path, {CSRF: csrf})
        assert (answer.status, answer.json["error"]["code"]) == (401, "not_logged_in")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


def test_looking_keeps_no_session_alive_and_a_change_does(api: Api, ann: Browser) -> None:
    csrf = ann.csrf()
    with api.database.transaction() as session:
        long_ago = database.now(session) - timedelta(minutes=30)
        session.execute(update(ConsoleSession).values(seen_at=long_ago))
    asks(api, ann, "GET", "/policies")
    assert seen(api) == long_ago
    asks(api, ann, "POST", ENABLE, {CSRF: csrf})
    assert seen(api) > long_ago + sessions.IDLE / 4


def seen(api: Api) -> datetime:
    with api.database.transaction() as session:
        return session.scalars(select(ConsoleSession.seen_at)).one()
