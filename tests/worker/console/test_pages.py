"""Pages over HTTP: who gets in, who may do what, and what each page says."""

import json
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from cryptography.fernet import Fernet
from fastapi.routing import APIRoute
from pydantic import SecretStr
from sqlalchemy import select

from tests.faults.processes import eventually
from tests.worker.console.conftest import serving
from tests.worker.console.people import Browser, entered, text_of
from tests.worker.scenario import purge
from tests.worker.test_users import ADMIN, PASSWORD
from worker import runs, tokens, users
from worker.console.app import ROUTERS
from worker.console.installation import Installation
from worker.console.pages import overview
from worker.console.pages.outlook import Lookout
from worker.console.readiness import Readiness
from worker.database import Database, now
from worker.identity import Actor, Role
from worker.runs import Request
from worker.settings import Settings
from worker.states import State
from worker.tables import Entry, Process, Run

pytestmark = pytest.mark.sqlite_control

Enter = Callable[[str], Browser]


@pytest.fixture
def installation(control: Database, database_url: str) -> Installation:
    settings = Settings(
        env="test",
        database_url=SecretStr(database_url),
        keys=SecretStr(Fernet.generate_key().decode()),
    )
    return Installation(settings, control, Readiness(control, seconds=0.5))


@pytest.fixture
def enter(installation: Installation) -> Iterator[Enter]:
    """Somebody with a role logs in."""
    with serving(installation) as port:

        def log_in(role: str) -> Browser:
            return entered(installation.database, port, role)

        yield log_in


def made(control: Database, **columns: Any) -> int:
    """A run as it stands after something happened to it."""
    asker = Actor("olaf", "session")
    wanted = Request(
        purge(name="sales-retention"),
        "test",
        "manual",
        asker,
        "x",
        apply_after_plan=False,
        inline=False,
    )
    with control.transaction() as session:
        run = runs.create(session, wanted)
        for name, value in columns.items():
            setattr(run, name, value)
        return run.id


def paths(method: str) -> list[str]:
    """Every page that takes this method, with something there is put into it."""
    routes = [route for router in ROUTERS for route in router.routes if isinstance(route, APIRoute)]
    found = [route.path for route in routes if method in (route.methods or ())]
    others = ("/api", "/health", "/login", "/logout", "/metrics")
    known = {"{run}": "r-1", "{policy}": "sales-retention", "{entry}": "1"}
    return [
        re.sub(r"\{\w+\}", lambda part: known.get(part[0], part[0]), path)
        for path in found
        if not path.startswith(others)
    ]


def test_there_are_pages_to_look_at() -> None:
    assert {"/", "/runs", "/runs/r-1", "/repair"} <= set(paths("GET"))
    assert {"/runs/r-1/apply", "/runs/r-1/undo", "/repair"} <= set(paths("POST"))


def test_who_is_not_logged_in_is_asked_to_and_then_comes_back(enter: Enter) -> None:
    port = enter("viewer").port
    stranger = Browser(port)
    answer = stranger.get("/runs?state=failed")
    assert (answer.status, answer.headers["Location"]) == (
        303,
        "/login?then=/runs%3Fstate%3Dfailed",
    )
    answer = stranger.log_in("viewer-ann", PASSWORD, "/runs?state=failed")
    assert (answer.status, answer.headers["Location"]) == (303, "/runs?state=failed")


@pytest.mark.parametrize(
    "elsewhere", ["https://evil.example/", "//evil.example", "/\\evil.example", "javascript:x"]
)
def test_logging_in_leads_nowhere_else(enter: Enter, elsewhere: str) -> None:
    browser = Browser(enter("viewer").port)
    assert browser.log_in("viewer-ann", PASSWORD, elsewhere).headers["Location"] == "/"


def test_the_cookie_is_for_this_site_alone_and_no_script_reads_it(enter: Enter) -> None:
    answer = Browser(enter("viewer").port).log_in("viewer-ann", PASSWORD)
    cookie = answer.headers["Set-Cookie"]
    parts = {part.strip().lower() for part in cookie.split(";")[1:]}
    assert parts >= {"httponly", "samesite=strict", "path=/"}
    assert "secure" not in parts  # the test speaks HTTP


def test_where_the_console_is_served_over_https_the_cookie_stays_there(
    installation: Installation,
) -> None:
    users.create(installation.database, "ann", Role.VIEWER, PASSWORD, ADMIN)
    secure = installation.settings.model_copy(update={"console_url": "https://tend.example"})
    with serving(Installation(secure, installation.database, installation.readiness)) as port:
        answer = Browser(port).log_in("ann", PASSWORD)
    assert "; secure" in answer.headers["Set-Cookie"].lower()


def test_a_wrong_password_is_told_and_lets_nobody_in(enter: Enter) -> None:
    browser = Browser(enter("viewer").port)
    answer = browser.log_in("viewer-ann", "wrong")
    assert (answer.status, browser.cookies) == (401, {})
    assert "User and password do not fit together." in text_of(answer)


def test_too_many_failures_are_told_to_wait(enter: Enter) -> None:
    browser = Browser(enter("viewer").port)
    statuses = [browser.log_in("viewer-ann", "wrong").status for _ in range(11)]
    assert statuses == [401] * 10 + [429]
    assert browser.log_in("viewer-ann", PASSWORD).headers["Retry-After"] == "900"


def test_a_link_lets_in_once_and_not_by_being_looked_at(enter: Enter, control: Database) -> None:
    port = enter("operator").port
    link = users.login_link(control, "operator-ann", ADMIN)
    browser = Browser(port)
    for _ in range(2):
        assert "This link lets you in once." in text_of(browser.get(f"/login/once/{link}"))
    assert browser.post("/login/once", {"link": link}).status == 303
    assert "operator-ann" in text_of(browser.get("/"))
    assert Browser(port).post("/login/once", {"link": link}).status == 401


def test_a_token_lets_in(enter: Enter, control: Database) -> None:
    browser = Browser(enter("viewer").port)
    text = tokens.create(control, "bob", Role.OPERATOR, timedelta(days=1), ADMIN).text
    assert browser.post("/login", {"token": text}).status == 303
    assert "bob operator" in text_of(browser.get("/"))


def test_who_logs_out_is_out(enter: Enter) -> None:
    browser = enter("viewer")
    kept = dict(browser.cookies)
    assert browser.send("/logout").status == 303
    assert Browser(browser.port, kept).get("/").status == 303


def test_every_page_is_whole_and_from_nowhere_else(enter: Enter, control: Database) -> None:
    """No script and no style inside, so the policy for content keeps what others put in out."""
    made(control, reason="<script>alert(1)</script>")
    browser = enter("admin")
    others = ("/lockouts", "/stores")  # of families, whose tests have their targets
    pages = [
        path
        for path in paths("GET")
        if not path.endswith(("/live", "/undo")) and not path.startswith(others)
    ]
    for path in pages:
        if "{" in path or path.endswith(("/preview", "/records")):
            continue
        answer = browser.get(path)
        html = answer.body.decode()
        assert answer.status == 200, (path, text_of(answer))
        assert "<script>" not in html, path
        assert not re.search(r"\sstyle=|\son\w+=|<style", html), path
        assert not re.search(r"(src|href|action)=\"(https?:)?//", html), path
        assert "script-src 'self'" in answer.headers["Content-Security-Policy"]


def test_a_viewer_is_refused_every_change(enter: Enter, control: Database) -> None:
    made(control)
    browser = enter("viewer")
    before = entries(control)
    for path in set(paths("POST")) - {"/audit/verify", "/audit/bundle", "/audit/export"}:
        answer = browser.send(path, reason="because")
        assert answer.status == 403, path
        assert "viewer-ann is a viewer" in text_of(answer), path
    assert entries(control) == before


def test_a_form_of_another_site_or_session_changes_nothing(enter: Enter, control: Database) -> None:
    made(control)
    browser, other = enter("admin"), enter("operator")
    before = entries(control)
    foreign: tuple[dict[str, str], ...] = (
        {"Origin": "https://evil.example"},
        {"Origin": "null"},
        {"Sec-Fetch-Site": "cross-site"},
    )
    for path in paths("POST"):
        for csrf in ("", "0" * 64, "ü", other.csrf()):
            assert browser.post(path, {"csrf": csrf, "reason": "because"}).status == 403, path
        form = {"csrf": browser.csrf(), "reason": "because"}
        for headers in foreign:
            assert browser.post(path, form, **headers).status == 403, path
    assert entries(control) == before


def test_every_change_takes_a_session(enter: Enter) -> None:
    stranger = Browser(enter("viewer").port)
    for path in paths("POST"):
        answer = stranger.post(path, {"reason": "because"})
        assert (answer.status, answer.headers["Location"]) == (303, "/login"), path


def test_a_change_takes_a_reason_that_names_no_person(enter: Enter, control: Database) -> None:
    run = made(control)
    browser = enter("operator")
    for reason in ("", "  ", "ann@example.com asked"):
        answer = browser.send(f"/runs/r-{run}/cancel", reason=reason)
        assert (answer.status, "--reason" in text_of(answer)) == (422, True)


def test_revealing_takes_a_reason_and_is_on_record_before_anything_is_shown(
    enter: Enter, control: Database
) -> None:
    """There is no archive here, so nothing could be shown; who wanted to look is on record."""
    run = made(control)
    browser = enter("operator")
    assert browser.send(f"/runs/r-{run}/records", reason="").status == 422
    assert "records_revealed" not in {entry["action"] for entry in entries(control)}
    answer = browser.send(f"/runs/r-{run}/records", reason="CASE-9: whose sales were these")
    assert answer.status == 503
    said = entries(control)[-1]
    assert (said["action"], said["actor"], said["run"]) == ("records_revealed", "operator-ann", run)
    assert said["detail"]["reason"] == "CASE-9: whose sales were these"


def test_who_planned_it_is_the_one_who_was_logged_in(enter: Enter, control: Database) -> None:
    browser = enter("operator")
    answer = browser.send("/repair", policy="sales-retention", reason="CASE-1", limit="5")
    assert (answer.status, answer.headers["Location"]) == (303, "/runs/r-1")
    with control.transaction() as session:
        run = session.get_one(Run, 1)
    assert (run.actor, run.actor_proof, run.narrowing["limit"]) == ("operator-ann", "session", 5)
    assert "queued" in text_of(browser.get("/runs/r-1"))


@pytest.mark.parametrize("limit", ["0", "-1", "many", "1.5"])
def test_a_limit_that_is_no_number_of_records_is_refused(enter: Enter, limit: str) -> None:
    form = {"policy": "sales-retention", "reason": "CASE-1", "limit": limit}
    answer = enter("operator").send("/repair", **form)
    assert answer.status == 422
    assert "The limit is a number of records" in text_of(answer)


def test_another_plan_than_the_one_that_was_read_is_not_applied(
    enter: Enter, control: Database
) -> None:
    run = made(control, state=State.PLANNED, digest="a" * 64)
    answer = enter("operator").send(f"/runs/r-{run}/apply", reason="because", digest="b" * 64)
    assert answer.status == 409
    assert f"The plan of r-{run} is another one" in text_of(answer)


def test_nobody_approves_what_they_asked_for(enter: Enter, control: Database) -> None:
    asked_by = [{"name": "approver-ann", "proof": "session", "account": None}]
    columns = {"digest": "a" * 64, "asked_by": asked_by, "approval_cause": "its policy says so"}
    run = made(control, state=State.AWAITING_APPROVAL, **columns)
    browser = enter("approver")
    assert "somebody else must approve it" in text_of(browser.get(f"/runs/r-{run}"))
    answer = browser.send(f"/runs/r-{run}/approve", reason="because")
    assert answer.status == 403
    assert "approver-ann asked for it" in text_of(answer)


def test_a_script_is_told_where_to_go_and_what_went_wrong(enter: Enter, control: Database) -> None:
    run = made(control)
    browser = enter("operator")
    form = {"csrf": browser.csrf(), "reason": "because"}
    answer = browser.post(f"/runs/r-{run}/pause", form, **{"HX-Request": "true"})
    assert (answer.status, b"<html" in answer.body) == (409, False)
    assert "cannot be paused" in text_of(answer)
    form = {**form, "policy": "sales-retention"}
    answer = browser.post("/repair", form, **{"HX-Request": "true"})
    assert (answer.status, answer.headers["HX-Redirect"]) == (204, f"/runs/r-{run + 1}")


def test_the_list_of_runs_goes_on_where_the_page_ended(enter: Enter, control: Database) -> None:
    for _ in range(35):
        made(control)
    browser = enter("viewer")
    first = browser.get("/runs").body.decode()
    older = re.search(r'href="(/runs\?[^"]*before=[^"]*)"', first)
    assert older is not None
    second = browser.get(older[1].replace("&amp;", "&")).body.decode()
    assert re.findall(r'id="to-(r-\d+)"', first) == [f"r-{n}" for n in range(35, 5, -1)]
    assert re.findall(r'id="to-(r-\d+)"', second) == [f"r-{n}" for n in range(5, 0, -1)]


@pytest.mark.parametrize(
    ("path", "says"),
    [
        ("/runs/r-9", "There is no run r-9"),
        ("/runs/nonsense", "'nonsense' is no run id"),
        ("/nothing", "There is nothing at this path."),
    ],
)
def test_what_there_is_not_is_said_so(enter: Enter, path: str, says: str) -> None:
    answer = enter("viewer").get(path)
    assert answer.status == 404
    assert says in text_of(answer)


def test_times_are_in_the_zone_of_the_viewer_beside_utc(enter: Enter, control: Database) -> None:
    made(control)
    browser = enter("viewer")
    assert "CET" not in text_of(browser.get("/runs"))
    browser.cookies["tend_zone"] = "Africa/Algiers"
    assert re.search(
        r"UTC \d\d:\d\d CET|UTC \w{3} \d\d \d\d:\d\d CET", text_of(browser.get("/runs"))
    )
    for nonsense in ("../../etc/passwd", "Nowhere/Land", "%00", "ü"):
        browser.cookies["tend_zone"] = nonsense
        assert browser.get("/runs").status == 200


def test_the_first_page_says_what_is_amiss(enter: Enter, control: Database) -> None:
    made(control, state=State.FAILED, error="the target is gone")
    page = text_of(enter("viewer").get("/"))
    assert "Something needs a person" in page
    assert "No scheduler is running" in page
    assert "1 run failed or refused in the last day." in page
    assert "the target is gone" in page


def test_nothing_is_called_right_before_it_was_looked_at(
    enter: Enter, control: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(overview, "_lookout", Lookout())
    with control.transaction() as session:
        moment = now(session)
        for kind in ("scheduler", "worker"):
            told = {"host": "h", "pid": 1, "started_at": moment, "seen_at": moment}
            session.add(Process(id=kind, kind=kind, **told))
    browser = enter("viewer")
    first = text_of(browser.get("/"))
    assert "Targets are being looked at" in first
    assert "targets answer" not in first
    eventually(lambda: "Everything is all right" in text_of(browser.get("/overview/now")))


def entries(control: Database) -> list[Any]:
    """What was done so far, but for logins."""
    with control.transaction() as session:
        found = session.scalars(select(Entry).order_by(Entry.id)).all()
    said = [json.loads(entry.body) for entry in found]
    return [one for one in said if one["action"] not in {"logged_in", "user_created"}]
