"""Logging in by way of an OpenID Connect provider: who comes in, as whom, and who does not."""

import json
import re
import socket
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from joserfc.jwk import OctKey
from sqlalchemy import select, update

from tests.worker.console.conftest import Answer, ask, serving
from tests.worker.console.openid import (
    CLIENT,
    CONSOLE,
    SECRET,
    OpenId,
    key_of,
    providing,
    settings_of,
)
from tests.worker.console.people import Browser, text_of
from tests.worker.test_users import ADMIN, PASSWORD, everything
from worker import users
from worker.console import logins, provider
from worker.console.installation import Installation
from worker.console.readiness import Readiness
from worker.database import Database
from worker.identity import Role
from worker.settings import Settings
from worker.tables import ConsoleSession, Entry, LoginAttempt

pytestmark = pytest.mark.sqlite_control

BEGIN = "/login/provider?then=/runs"


@pytest.fixture
def openid() -> Iterator[OpenId]:
    with providing() as openid:
        yield openid


@dataclass
class Site:
    """A console that trusts a provider."""

    control: Database
    port: int

    def browser(self) -> Browser:
        return Browser(self.port)

    def there(self, browser: Browser) -> str:
        """Where the provider sends somebody back to who began to log in."""
        answer = browser.get(BEGIN)
        assert answer.status == 303, text_of(answer)
        return sent_by(answer.headers["Location"])

    def logs_in(self, browser: Browser) -> Answer:
        back = self.there(browser)
        assert back.startswith(f"{CONSOLE}{provider.BACK}?")
        return browser.get(back.removeprefix(CONSOLE))

    def entries(self) -> list[dict[str, Any]]:
        with self.control.transaction() as session:
            found = session.scalars(select(Entry).order_by(Entry.id)).all()
        return [json.loads(one.body) for one in found]


def sent_by(url: str) -> str:
    parts = urlsplit(url)
    assert parts.port is not None
    return ask(parts.port, f"{parts.path}?{parts.query}").headers["Location"]


@pytest.fixture
def site(control: Database, openid: OpenId) -> Iterator[Site]:
    here = Installation(settings_of(openid.issuer), control, Readiness(control, seconds=30))
    with serving(here) as port:
        yield Site(control, port)


def is_in(browser: Browser) -> bool:
    return browser.get("/").status == 200


def test_whom_the_provider_lets_in_is_in_with_the_role_of_their_group(
    site: Site, openid: OpenId
) -> None:
    browser = site.browser()
    answer = site.logs_in(browser)
    assert (answer.status, "You are logged in" in text_of(answer)) == (200, True)
    assert 'content="0; url=/runs"' in answer.body.decode()
    assert "oidc:ann operator" in text_of(browser.get("/"))
    (entry,) = site.entries()
    assert (entry["action"], entry["actor"], entry["actor_proof"]) == (
        "logged_in",
        "oidc:ann",
        "session",
    )
    assert (entry["detail"]["way"], entry["detail"]["role"]) == ("oidc", "operator")
    (question,) = openid.asked
    assert question["redirect_uri"] == f"{CONSOLE}{provider.BACK}"
    assert (question["response_type"], question["code_challenge_method"]) == ("code", "S256")
    assert (question["scope"], question["tenant"]) == ("openid profile", "1")
    with site.control.transaction() as session:
        assert session.scalars(select(LoginAttempt)).all() == []


def test_an_admin_ends_all_sessions_of_one_person_and_nobody_elses(site: Site) -> None:
    theirs, others = [site.browser(), site.browser()], site.browser()
    for browser in theirs:
        site.logs_in(browser)
    users.create(site.control, "ann", Role.VIEWER, PASSWORD, ADMIN)
    others.log_in("ann", PASSWORD)
    assert users.end_sessions(site.control, "oidc:ann", ADMIN) == 2
    assert [is_in(browser) for browser in (*theirs, others)] == [False, False, True]
    entry = site.entries()[-1]
    assert (entry["action"], entry["actor"]) == ("sessions_ended", "root")
    assert entry["detail"] == {"user": "oidc:ann", "sessions": 2, "reason": "a test"}
    site.logs_in(theirs[0])
    assert is_in(theirs[0])


def test_the_page_to_log_in_leads_there_without_a_script(site: Site, openid: OpenId) -> None:
    page = site.browser().get("/login?then=/runs%3Fstate%3Dfailed").body.decode()
    link = re.search(r'href="(/login/provider\?[^"]*)"', page)
    assert link is not None
    assert "Log in with localhost" in page
    answer = site.browser().get(link[1])
    assert answer.headers["Location"].startswith(f"{openid.issuer}/authorize?tenant=1&")


def test_what_begins_a_login_is_for_the_way_back_alone(site: Site) -> None:
    begun = site.browser().get(BEGIN)
    parts = {part.strip().lower() for part in begun.headers["Set-Cookie"].split(";")[1:]}
    assert parts >= {"httponly", "secure", "samesite=lax", f"path={provider.BACK}", "max-age=600"}
    secret = begun.headers["Set-Cookie"].partition("=")[2].partition(":")[0].strip('"')
    assert len(secret) == 64
    assert secret not in begun.headers["Location"]
    browser = site.browser()
    cookies = site.logs_in(browser).headers.get_all("Set-Cookie") or []
    kept = next(cookie.lower() for cookie in cookies if cookie.startswith("tend="))
    assert "samesite=strict" in kept
    assert "; secure" in kept
    assert browser.cookies["tend_login"] == ""


@pytest.mark.parametrize("elsewhere", ["https://evil.example/", "//evil.example", "/\\evil"])
def test_logging_in_leads_nowhere_else(site: Site, elsewhere: str) -> None:
    browser = site.browser()
    back = sent_by(browser.get(f"/login/provider?then={elsewhere}").headers["Location"])
    page = browser.get(back.removeprefix(CONSOLE)).body.decode()
    assert 'content="0; url=/"' in page
    assert "evil" not in page


def expired(openid: OpenId) -> None:
    openid.person = {"iat": int(time.time()) - 900, "exp": int(time.time()) - 600}


def forged(openid: OpenId) -> None:
    """Signed with another key than the one published under its id."""
    openid.signs = key_of("one", "somebody else")


def unknown_key(openid: OpenId) -> None:
    openid.signs = key_of("two")


def shared_secret(openid: OpenId) -> None:
    openid.header = {"alg": "HS256"}
    openid.signs = OctKey.generate_key(256, {"kid": "one"})


def unsigned(openid: OpenId) -> None:
    openid.header = {"alg": "none"}


def of_tomorrow(openid: OpenId) -> None:
    now = int(time.time())
    openid.person = {"iat": now + 86_400, "exp": now + 90_000}


def says(**person: Any) -> Callable[[OpenId], None]:
    def change(openid: OpenId) -> None:
        openid.person = person

    return change


@pytest.mark.parametrize(
    ("wrong", "why"),
    [
        (says(nonce="of another login"), "invalid_claim: nonce"),
        (says(nonce=None), "missing_claim: nonce"),
        (says(aud="another client"), "invalid_claim: aud"),
        (says(aud=[CLIENT, "another"], azp="another"), "invalid_claim: azp"),
        (says(iss="https://evil.example"), "invalid_claim: iss"),
        (says(exp=None), "missing_claim: exp"),
        (says(sub=None), "missing_claim: sub"),
        (expired, "expired_token"),
        (forged, "bad_signature"),
        (unknown_key, "invalid_key_id"),
        (shared_secret, "unsupported_algorithm"),
        (unsigned, "unsupported_algorithm"),
        (of_tomorrow, "iat"),
    ],
    ids=lambda value: getattr(value, "__name__", None) or str(value)[:30],
)
def test_a_token_that_does_not_hold_lets_nobody_in(
    site: Site, openid: OpenId, wrong: Callable[[OpenId], None], why: str
) -> None:
    wrong(openid)
    browser = site.browser()
    answer = site.logs_in(browser)
    said = text_of(answer)
    assert (answer.status, "What the login provider said of you does not hold" in said) == (
        401,
        True,
    )
    assert why in said
    assert not is_in(browser)
    (entry,) = site.entries()
    assert (entry["action"], entry["actor"]) == ("login_failed", "unknown")
    assert entry["detail"] == {"disabled": False, "way": "the provider", "why": "login_refused"}


def test_a_rotated_key_counts_as_soon_as_it_is_published(site: Site, openid: OpenId) -> None:
    unknown_key(openid)
    assert site.logs_in(site.browser()).status == 401
    openid.published = [*openid.published, openid.signs]
    browser = site.browser()
    assert site.logs_in(browser).status == 200
    assert is_in(browser)
    openid.signs = openid.published[0]
    openid.published = openid.published[1:]
    assert site.logs_in(site.browser()).status == 401


def test_an_answer_of_another_login_is_refused(site: Site, openid: OpenId) -> None:
    ann, mallory = site.browser(), site.browser()
    site.there(ann)
    answer = ann.get(site.there(mallory).removeprefix(CONSOLE))
    assert answer.status == 401
    assert "not begun in this browser, or another was begun since" in text_of(answer)
    assert len(openid.codes) == 2  # nobody asked for a token
    assert not is_in(ann)


def test_a_browser_that_began_nothing_is_refused_and_counts_for_nothing(site: Site) -> None:
    back = site.there(site.browser()).removeprefix(CONSOLE)
    stranger = site.browser()
    answer = stranger.get(back)
    assert (answer.status, "No login was begun in this browser" in text_of(answer)) == (401, True)
    assert site.entries() == []
    with site.control.transaction() as session:
        assert session.scalars(select(LoginAttempt)).all() == []


def test_an_answer_lets_in_once(site: Site) -> None:
    browser = site.browser()
    back = site.there(browser).removeprefix(CONSOLE)
    kept = dict(browser.cookies)
    assert browser.get(back).status == 200
    again = Browser(site.port, kept).get(back)
    assert again.status == 401
    assert "has refused this login (invalid_grant)" in text_of(again)


def test_another_provider_cannot_answer(site: Site) -> None:
    browser = site.browser()
    back = site.there(browser).removeprefix(CONSOLE)
    answer = browser.get(re.sub(r"iss=[^&]*", "iss=https%3A%2F%2Fevil.example", back))
    assert answer.status == 401
    assert "Another login provider than ours has answered" in text_of(answer)


@pytest.mark.parametrize(
    ("denies", "said"),
    [("access_denied", "(access_denied)"), ("<script>alert(1)</script>", "(without a reason)")],
)
def test_who_says_no_at_the_provider_is_not_let_in(
    site: Site, openid: OpenId, denies: str, said: str
) -> None:
    openid.denies = denies
    browser = site.browser()
    answer = site.logs_in(browser)
    assert answer.status == 401
    assert f"The login provider has not let you in {said}" in text_of(answer)
    assert b"<script>" not in answer.body
    assert not is_in(browser)


@pytest.mark.parametrize(
    "groups", [None, [], ["staff"], "staff", {"data-team": True}, 7, [["ops"]]]
)
def test_who_has_no_role_does_not_come_in(site: Site, openid: OpenId, groups: Any) -> None:
    openid.person = {"groups": groups}
    browser = site.browser()
    answer = site.logs_in(browser)
    assert answer.status == 401
    assert (
        "The login provider knows you as oidc:ann, and none of the values of your claim groups "
        "gives a role here" in text_of(answer)
    )
    assert not is_in(browser)
    (entry,) = site.entries()
    assert (entry["actor"], entry["detail"]["why"]) == ("oidc:ann", "no_role")


@pytest.mark.parametrize(
    ("groups", "role"),
    [(["ops"], "operator"), ("data-team", "operator"), (["ops", "platform"], "admin")],
)
def test_the_highest_role_counts(site: Site, openid: OpenId, groups: Any, role: str) -> None:
    openid.person = {"groups": groups}
    browser = site.browser()
    site.logs_in(browser)
    assert f"oidc:ann {role}" in text_of(browser.get("/"))


def test_a_claim_may_lie_inside_another(control: Database, openid: OpenId) -> None:
    openid.person = {"realm_access": {"roles": ["ops"]}, "nick": "bob"}
    more = {"oidc_role_claim": "realm_access.roles", "oidc_name_claim": "nick"}
    settings = settings_of(openid.issuer, **more)
    with serving(Installation(settings, control, Readiness(control, seconds=30))) as port:
        browser = Browser(port)
        Site(control, port).logs_in(browser)
        assert "oidc:bob operator" in text_of(browser.get("/"))


@pytest.mark.parametrize("name", [None, "", "@example.org", "ann lee", "../x", "a" * 60, 7])
def test_a_name_that_cannot_be_kept_is_refused(site: Site, openid: OpenId, name: Any) -> None:
    openid.person = {"preferred_username": name}
    answer = site.logs_in(site.browser())
    assert answer.status == 401
    assert "says no name in preferred_username that Tend can keep" in text_of(answer)


def test_a_name_stays_the_first_accounts_who_came_with_it(site: Site, openid: OpenId) -> None:
    assert site.logs_in(site.browser()).status == 200
    openid.person = {"sub": "another", "preferred_username": "ann@elsewhere.example"}
    browser = site.browser()
    answer = site.logs_in(browser)
    assert answer.status == 401
    assert "The name oidc:ann is another account's of the login provider" in text_of(answer)
    assert not is_in(browser)
    openid.person = {"preferred_username": "ann.lee"}
    assert site.logs_in(site.browser()).status == 200


def test_a_local_user_of_that_name_is_not_who_logged_in(site: Site) -> None:
    users.create(site.control, "ann", Role.ADMIN, PASSWORD, ADMIN)
    browser = site.browser()
    site.logs_in(browser)
    assert "oidc:ann operator" in text_of(browser.get("/"))
    users.disable(site.control, "ann", ADMIN)
    assert is_in(browser)


def test_neither_tokens_nor_what_they_say_are_kept(site: Site) -> None:
    site.logs_in(site.browser())
    kept = everything(site.control)
    for said in ("248289761001", "example.org", SECRET, "eyJ", "data-team"):
        assert said not in kept


@pytest.mark.parametrize(
    ("known", "how"),
    [
        ({"issuer": "https://evil.example"}, "calls itself something else than TEND_OIDC_ISSUER"),
        ({"token_endpoint": "http://evil.example/token"}, "https:// address as its token_endpoint"),
        ({"jwks_uri": None}, "names no https:// address as its jwks_uri"),
    ],
)
def test_a_provider_that_describes_itself_wrongly_is_not_believed(
    site: Site, openid: OpenId, known: dict[str, Any], how: str
) -> None:
    browser = site.browser()
    back = site.there(browser).removeprefix(CONSOLE)
    openid.known = known
    answer = browser.get(back)
    assert (answer.status, how in text_of(answer)) == (503, True)
    assert not is_in(browser)


@pytest.mark.parametrize("keys", [[], {}, {"keys": [{}]}, "no", {"keys": "none"}])
def test_keys_that_are_none_let_nobody_in(site: Site, openid: OpenId, keys: Any) -> None:
    openid.keys = keys
    browser = site.browser()
    assert site.logs_in(browser).status in {401, 503}
    assert not is_in(browser)


@pytest.fixture
def lonely(control: Database) -> Iterator[Site]:
    """A console whose provider is down."""
    with socket.socket() as taken:
        taken.bind(("localhost", 0))
        issuer = f"http://localhost:{taken.getsockname()[1]}"
        settings = settings_of(issuer)
        with serving(Installation(settings, control, Readiness(control, seconds=30))) as port:
            yield Site(control, port)


def test_without_the_provider_people_are_told_and_local_users_come_in(lonely: Site) -> None:
    users.create(lonely.control, "ann", Role.OPERATOR, PASSWORD, ADMIN)
    browser = lonely.browser()
    answer = browser.get(BEGIN)
    said = text_of(answer)
    assert answer.status == 503
    assert re.search(
        r"The login provider at localhost:\d+ does not answer; log in with a local user, or try "
        r"again later\.",
        said,
    )
    assert browser.log_in("ann", PASSWORD, "/").status == 303
    assert is_in(browser)


def test_a_provider_that_goes_away_in_between_counts_against_nobody(
    control: Database,
) -> None:
    with providing() as openid:
        here = Installation(settings_of(openid.issuer), control, Readiness(control, seconds=30))
        with serving(here) as port:
            site, browser = Site(control, port), Browser(port)
            back = site.there(browser).removeprefix(CONSOLE)
            with socket.socket() as taken:
                taken.bind(("localhost", 0))
                gone = f"http://localhost:{taken.getsockname()[1]}/token"
                openid.known = {"token_endpoint": gone}
                answer = browser.get(back)
    assert answer.status == 503
    assert "does not answer; log in with a local user" in text_of(answer)
    with control.transaction() as session:
        assert session.scalars(select(LoginAttempt)).all() == []


def test_logins_that_fail_make_the_next_ones_from_there_wait(site: Site, openid: OpenId) -> None:
    openid.denies = "access_denied"
    for _ in range(logins.MOST_OF_AN_ADDRESS):
        assert site.logs_in(site.browser()).status == 401
    openid.denies = None
    answer = site.logs_in(site.browser())
    assert (answer.status, answer.headers["Retry-After"]) == (429, "900")


def test_a_session_of_the_provider_ends_like_any_other(site: Site) -> None:
    browser = site.browser()
    site.logs_in(browser)
    assert is_in(browser)
    with site.control.transaction() as session:
        row = session.scalars(select(ConsoleSession)).one()
        assert (row.way, row.name) == ("oidc", "oidc:ann")
        session.execute(update(ConsoleSession).values(expires_at=row.created_at))
    assert not is_in(browser)


def test_without_a_provider_there_is_no_such_way(control: Database) -> None:
    here = Installation(Settings(env="test"), control, Readiness(control, seconds=30))
    with serving(here) as port:
        browser = Browser(port)
        assert "/login/provider" not in browser.get("/login").body.decode()
        assert [browser.get(path).status for path in (BEGIN, provider.BACK)] == [404, 404]


def test_the_question_is_never_answered_with_the_consoles_secret(site: Site) -> None:
    answer = site.browser().get(BEGIN)
    question = parse_qs(urlsplit(answer.headers["Location"]).query)
    assert "client_secret" not in question
    assert len({question["state"][0], question["nonce"][0], question["code_challenge"][0]}) == 3
