"""What only PostgreSQL refuses, and SQLite takes: numbers that are too large, and their order."""

import pytest

from tests.worker.cli.conftest import Tend
from tests.worker.console.api.conftest import Api


@pytest.fixture
def sqlite_url(postgres_url: str) -> str:
    """The control database of the API, under the name by which `tend` is given one."""
    return postgres_url


@pytest.fixture
def bare(unmigrated: Tend) -> Tend:
    """Migrated in its own place: what is copied elsewhere is a file of SQLite."""
    assert unmigrated("migrate").code == 0
    return unmigrated


def test_numbers_that_no_row_can_have_are_not_found(api: Api) -> None:
    for path in ("/runs/r-2147483648", "/runs/r-999999999999999999", "/audit?run=r-2147483648"):
        answer = api("GET", path, as_="viewer")
        assert (answer.status, answer.json["error"]["code"]) == (404, "run_unknown"), path
    token = "tend_999999999999999999_" + 64 * "0"
    answer = api("GET", "/runs", as_="", headers={"Authorization": f"Bearer {token}"})
    assert (answer.status, answer.json["error"]["code"]) == (401, "token_refused")


def test_text_that_no_column_can_hold_is_refused(api: Api) -> None:
    for path in ("/runs?policy=%00", "/audit?actor=%00", "/holds/%00", "/audit?target=%00"):
        answer = api("GET", path, as_="viewer")
        assert (answer.status, answer.json["error"]["code"]) == (422, "invalid_request"), path
    for body in ({"reason": "a\0"}, {"reason": "x", "on_behalf_of": "a\0"}):
        answer = api("POST", "/policies/sales-retention/enable", body)
        assert (answer.status, answer.json["error"]["code"]) == (422, "invalid_request"), body


def test_a_run_is_asked_for_worked_on_and_listed(api: Api) -> None:
    api.tend.old_sales(3)
    run = api.does("/policies/sales-retention/run")["id"]
    assert api.work(run)["changed"] == 3
    assert [each["id"] for each in api.get("/runs?limit=1")["runs"]] == [run]
    assert api("GET", f"/runs/{run}/undo").json["restores"] == 3
