"""What people see when something cannot be shown or done: a page, and where the log has more."""

import re

import pytest
from structlog.testing import capture_logs

from tests.worker.console.conftest import Answer, ask
from tests.worker.console.people import HTML, Browser, text_of
from tests.worker.test_users import ADMIN, PASSWORD
from worker import users
from worker.console import logins
from worker.console.installation import Installation
from worker.identity import Role

pytestmark = pytest.mark.sqlite_control


@pytest.fixture
def browser(installation: Installation, port: int) -> Browser:
    """A viewer who is logged in."""
    users.create(installation.database, "ann", Role.VIEWER, PASSWORD, ADMIN)
    browser = Browser(port)
    assert browser.log_in("ann", PASSWORD).status == 303
    return browser


def reference_of(answer: Answer) -> str:
    found = re.search(r"Reference ([0-9a-f]{8})", text_of(answer))
    assert found is not None, text_of(answer)
    return found[1]


@pytest.mark.parametrize(
    ("path", "status", "says", "to_do"),
    [
        ("/nothing", 404, "There is nothing at this path.", "begin at the overview"),
        ("/runs/r-77", 404, "There is no run r-77", "begin at the overview"),
        ("/audit?outcome=done", 422, "is no state of a run", "mend what was entered"),
        ("/logout", 405, "This path does not take that method.", "give the reference"),
    ],
)
def test_what_cannot_be_shown_is_a_page_with_what_to_do_and_a_line_in_the_log(
    browser: Browser, path: str, status: int, says: str, to_do: str
) -> None:
    with capture_logs() as logged:
        answer = browser.get(path)
    assert answer.status == status
    assert answer.headers["Content-Type"].startswith("text/html")
    assert says in text_of(answer)
    assert to_do in text_of(answer)
    (line,) = [line for line in logged if line["event"] == "page refused"]
    assert (line["reference"], line["status"]) == (reference_of(answer), status)


def test_what_may_not_be_done_is_a_page_that_says_who_may(browser: Browser) -> None:
    with capture_logs() as logged:
        answer = browser.send("/repair", policy="sales-retention", reason="because")
    assert answer.status == 403
    assert "ann is a viewer" in text_of(answer)
    assert "ask somebody whose role allows it" in text_of(answer)
    assert reference_of(answer) in {line.get("reference") for line in logged}


def broken(monkeypatch: pytest.MonkeyPatch) -> None:
    def break_down(*_: object, **__: object) -> None:
        raise RuntimeError("hunter2")

    monkeypatch.setattr(logins, "with_link", break_down)
    monkeypatch.setattr(logins, "with_password", break_down)


@pytest.mark.parametrize(
    ("path", "form"), [("/login", {"name": "ann", "password": "x"}), ("/login/once", {"link": "x"})]
)
def test_what_nobody_foresaw_is_a_page_and_the_log_has_it_by_its_reference(
    monkeypatch: pytest.MonkeyPatch, port: int, path: str, form: dict[str, str]
) -> None:
    broken(monkeypatch)
    with capture_logs() as logged:
        answer = Browser(port).post(path, form)
    assert answer.status == 500
    assert answer.headers["Content-Type"].startswith("text/html")
    assert "script-src 'self'" in answer.headers["Content-Security-Policy"]
    said = text_of(answer)
    assert "Something unexpected went wrong; the console's log has it as " in said
    assert "give the reference to whoever looks after Tend" in said
    assert "hunter2" not in said
    (line,) = [line for line in logged if line["event"] == "request failed"]
    assert (line["reference"], line["path"]) == (reference_of(answer), path)
    assert "hunter2" not in line["why"]


def test_a_script_is_told_the_reference_in_the_sentence_alone(
    monkeypatch: pytest.MonkeyPatch, port: int
) -> None:
    broken(monkeypatch)
    answer = Browser(port).post("/login/once", {"link": "x"}, **{"HX-Request": "true"})
    assert (answer.status, b"<html" in answer.body) == (500, False)
    assert re.search(r"the console's log has it as [0-9a-f]{8}\.$", text_of(answer))


def test_programs_get_the_reference_as_a_detail(monkeypatch: pytest.MonkeyPatch, port: int) -> None:
    broken(monkeypatch)
    kind = {"Content-Type": "application/x-www-form-urlencoded"}
    with capture_logs() as logged:
        answer = ask(port, "/login/once", "POST", "link=x", kind)
    assert (answer.status, answer.json["error"]["code"]) == (500, "unexpected")
    (line,) = [line for line in logged if line["event"] == "request failed"]
    assert answer.json["error"]["details"] == {"reference": line["reference"]}


def test_the_log_never_has_what_a_login_link_holds(port: int) -> None:
    with capture_logs() as logged:
        assert ask(port, f"/login/once/{'5' * 64}", "DELETE", headers=HTML).status == 405
    assert "5" * 64 not in str(logged)
    assert [line["path"] for line in logged] == ["/login/once/…"]
