"""Pages over HTTP: policies, the brake, holds, alerts, and the audit log with its evidence."""

import io
import json
import re
import zipfile
from base64 import b64encode
from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from tests.worker.console.people import text_of
from tests.worker.console.test_pages import Enter, enter, made
from worker.console.installation import Installation
from worker.console.readiness import Readiness
from worker.database import Database
from worker.settings import Settings
from worker.switches import state_of
from worker.tables import Switch

__all__ = ["enter"]
pytestmark = pytest.mark.sqlite_control


@pytest.fixture
def installation(control: Database, database_url: str, tmp_path: Path) -> Installation:
    settings = Settings(
        env="test",
        database_url=SecretStr(database_url),
        keys=SecretStr(Fernet.generate_key().decode()),
        audit_keys=SecretStr(b64encode(bytes(range(32))).decode()),
        anchor_url=SecretStr(f"file://{tmp_path}/anchors"),
    )
    return Installation(settings, control, Readiness(control, seconds=0.5))


def test_a_policy_shows_where_each_value_comes_from_and_when_it_fires(enter: Enter) -> None:
    page = text_of(enter("viewer").get("/policies/sales-retention"))
    assert "options.dated_by createdAt" in page
    assert re.search(r"sales-retention\.yaml:\d+", page)
    assert "The next 10 due times" in page
    assert "It was never enabled and never run." in page


def test_the_text_that_was_read_is_enabled_and_no_other(
    enter: Enter, installation: Installation
) -> None:
    browser = enter("operator")
    policy = installation.policies().get("sales-retention").policy
    stale = browser.send("/policies/sales-retention/enable", reason="CASE-1", version="0" * 64)
    assert (stale.status, "was changed meanwhile" in text_of(stale)) == (409, True)
    form = {"reason": "CASE-1", "version": policy.version}
    assert browser.send("/policies/sales-retention/enable", **form).status == 303
    with installation.database.transaction() as session:
        switch = session.get_one(Switch, "sales-retention")
    assert (state_of(policy, switch), switch.actor) == ("enabled", "operator-ann")
    assert browser.send("/policies/sales-retention/disable", reason="CASE-2").status == 303
    assert "observing" in text_of(browser.get("/policies/sales-retention"))


def test_a_pulled_brake_is_on_every_page_until_it_is_released(enter: Enter) -> None:
    browser = enter("operator")
    says = "The brake is pulled for sales-retention by operator-ann: CASE-3"
    sent = browser.send("/brake/pull", policy="sales-retention", reason="CASE-3")
    assert sent.status == 303
    for path in ("/", "/runs", "/policies", "/brake"):
        assert says in text_of(browser.get(path)), path
    assert browser.send("/brake/pull", policy="nonsense", reason="CASE-3").status == 404
    freed = browser.send("/brake/release", policy="sales-retention", reason="CASE-4")
    assert freed.status == 303
    assert says not in text_of(browser.get("/"))


def test_a_hold_that_cannot_be_is_refused_with_a_sentence(enter: Enter) -> None:
    browser = enter("operator")
    form = {"subject": "nonsense", "value": "1", "case": "LEGAL-1", "reason": "CASE-5"}
    answer = browser.send("/holds/add", **form)
    assert (answer.status, "knows no subject 'nonsense'" in text_of(answer)) == (422, True)
    answer = browser.send("/holds/add", **{**form, "case": " "})
    assert (answer.status, "A hold needs its case" in text_of(answer)) == (422, True)
    assert "No hold stands." in text_of(browser.get("/holds"))


def test_entries_are_found_by_what_is_known_of_them(enter: Enter, control: Database) -> None:
    run = made(control)
    browser = enter("viewer")
    page = text_of(browser.get(f"/audit?run=r-{run}&action=run_created"))
    assert "run created" in page
    assert "logged in" not in page
    assert "There are no such entries." in text_of(browser.get("/audit?actor=nobody"))
    for wrong in ("since=soon", "outcome=nonsense", "run=x"):
        assert browser.get(f"/audit?{wrong}").status in {404, 422}, wrong


def test_older_entries_come_on_the_next_page(enter: Enter, control: Database) -> None:
    for _ in range(60):
        made(control)
    browser = enter("viewer")
    seen: list[str] = []
    path: str | None = "/audit?action=run_created"
    while path is not None:
        html = browser.get(path).body.decode()
        seen += re.findall(r'href="/audit/(\d+)"', html)
        older = re.search(r'href="(/audit\?[^"]*before=\d+)"', html)
        path = older[1].replace("&amp;", "&") if older else None
    assert len(seen) == len(set(seen)) == 60
    assert seen == sorted(seen, key=int, reverse=True)


def test_verifying_says_what_was_read_and_that_nothing_is_off(
    enter: Enter, control: Database
) -> None:
    made(control)
    page = text_of(enter("viewer").send("/audit/verify", full="yes"))
    assert "nothing is off" in page
    assert "1 runs were read" in page


def test_a_bundle_is_a_zip_that_checks_itself(enter: Enter, control: Database) -> None:
    made(control)
    browser = enter("viewer")
    form = {"since": "2020-01-01", "until": "2999-01-01", "policy": ""}
    answer = browser.send("/audit/bundle", **form)
    assert answer.status == 200, text_of(answer)
    assert answer.headers["Content-Disposition"].startswith('attachment; filename="tend-evidence-')
    with zipfile.ZipFile(io.BytesIO(answer.body)) as files:
        assert {"verify.py", "README.txt"} <= set(files.namelist())
    wrong = browser.send("/audit/bundle", since="2999-01-01", until="2999-01-02")
    assert (wrong.status, "--from must be before --to" in text_of(wrong)) == (422, True)


@pytest.mark.parametrize("kind", ["jsonl", "csv"])
def test_what_the_filter_finds_is_exported_with_its_statement(
    enter: Enter, control: Database, kind: str
) -> None:
    run = made(control)
    made(control)
    browser = enter("viewer")
    page = browser.get(f"/audit?run=r-{run}").body.decode()
    form = dict(re.findall(r'type="hidden" name="(run|policy)" value="([^"]*)"', page))
    assert form == {"run": f"r-{run}"}
    answer = browser.send("/audit/export", format=kind, **form)
    assert answer.status == 200, text_of(answer)
    with zipfile.ZipFile(io.BytesIO(answer.body)) as files:
        lines = files.read(f"audit.{kind}").decode().splitlines()
        statement = json.loads(files.read(f"audit.{kind}.statement.json"))
    assert (statement["count"], statement["filter"]["run"]) == (1, run)
    assert statement["checkpoint"].startswith("tend")
    assert len(lines) == (2 if kind == "csv" else 1)
    assert f"r-{run}" in lines[-1]
    wrong = browser.send("/audit/export", format=kind, since="soon")
    assert (wrong.status, "since" in text_of(wrong)) == (422, True)


def test_a_policy_shows_what_each_text_changed_in_the_one_before(
    enter: Enter, control: Database
) -> None:
    for run, (version, limit) in enumerate([("a", 1), ("b", 2), ("b", 2), ("a", 1), ("c", 3)]):
        text = json.dumps({"guards": {"max_records": limit}, "undo": "7d"})
        made(control, policy_version=version * 64, policy_text=text, reason=f"run {run}")
    html = enter("viewer").get("/policies/sales-retention").body.decode()
    found = re.search(r'aria-label="Its texts so far">(.*?)</table>', html, re.DOTALL)
    assert found is not None
    rows = [" ".join(re.sub(r"<[^>]*>", " ", row).split()) for row in found[1].split("<tr>")[2:]]
    assert re.match(r"c{12} r-5 .* guards.max_records 2 3$", rows[0])
    assert re.match(r"b{12} r-2 .* guards.max_records 1 2$", rows[1])
    assert re.match(r"a{12} r-1 .* the oldest one that is listed$", rows[2])
    assert len(rows) == 3


def test_an_entry_has_its_proof_once_it_is_signed(enter: Enter, control: Database) -> None:
    made(control)
    browser = enter("viewer")
    number = re.search(r'href="/audit/(\d+)"', browser.get("/audit").body.decode())
    assert number is not None
    assert "No signed checkpoint covers it yet" in text_of(browser.get(f"/audit/{number[1]}"))
    browser.send("/audit/bundle", since="2020-01-01", until="2999-01-01")
    assert "It stands at position" in text_of(browser.get(f"/audit/{number[1]}"))
    for unknown in ("999999", "x", "9" * 30):
        assert browser.get(f"/audit/{unknown}").status == 404


def test_an_alert_that_there_is_not_is_said_so(enter: Enter) -> None:
    browser = enter("viewer")
    assert "There are none." in text_of(browser.get("/alerts"))
    answer = browser.get("/alerts/a-9")
    assert "There is no alert" in text_of(answer)
