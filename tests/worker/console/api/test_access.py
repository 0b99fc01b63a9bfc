"""Who may do what over HTTP: the one table of roles, for each operation and each role."""

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import func, select

from tests.worker.console.api.conftest import ADMIN, WHY, Api
from tests.worker.console.api.operations import Operation, operations
from worker import access, tokens
from worker.console.app import create_app
from worker.console.installation import Installation
from worker.console.readiness import Readiness
from worker.database import Database
from worker.identity import Role
from worker.settings import Settings
from worker.tables import Entry

OPERATIONS = operations()
BY_HAND_ALONE = {
    "audit forget": "it cannot be taken back",
    "audit reanchor": "the same",
    "audit prune": "the same",
    "pos credentials set": "secrets are typed where no browser is",
}
"""Commands of what the API is about that are none of its operations, and why."""
OF_RUNS = ("runs", "show", "plan", "apply", "run", "pause", "resume", "cancel", "undo", "records")
OF_A_RUN_THAT_WAITS = ("approve", "reject", "override", "records --reveal", "enable", "disable")
ABOUT = ("policies", "brake", "hold", "audit", "lockout", "pos", "probes")


def test_every_command_that_the_api_is_about_is_an_operation_or_known_to_be_none() -> None:
    offered = {command for each in OPERATIONS for command in each.commands}
    wanted = {name for name in access.LEAST if name.split()[0] in ABOUT}
    assert offered | set(BY_HAND_ALONE) == {*wanted, *OF_RUNS, *OF_A_RUN_THAT_WAITS}


@pytest.fixture(scope="module")
def paths() -> dict[str, Any]:
    """What the console says of its operations."""
    here = Installation(
        Settings(env="test"), Database("sqlite://"), Readiness(Database("sqlite://"))
    )
    described: dict[str, Any] = create_app(here).openapi()["paths"]
    return described


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda each: f"{each.method} {each.path}")
def test_each_operation_is_one_command_and_takes_its_role(
    operation: Operation, paths: dict[str, Any]
) -> None:
    (command,) = operation.commands
    role = str(access.least(command))
    needs = paths[f"/api/v1{operation.path}"][operation.method.lower()]["security"]
    assert needs == [{"HTTPBearer": [role]}, {"APIKeyCookie": [role]}]


def test_each_role_is_let_in_exactly_where_the_table_says(api: Api) -> None:
    """Bodies say nothing, so that what is let in is refused for that and does nothing."""
    for operation in OPERATIONS:
        (command,) = operation.commands
        path = operation.at(case="none", policy="none", run="r-1", entry="1")
        body: Any = None if operation.method == "GET" else {}
        for role in Role:
            if operation.name in {"audit_verify", "audit_export"}:
                continue  # nothing to leave out: they would be done
            answer = api(operation.method, path, body, as_=role)
            is_let_in = role.includes(access.least(command))
            assert (answer.status not in (401, 403)) == is_let_in, (operation, role, answer.body)
    with api.database.transaction() as session:
        changes = select(func.count()).where(Entry.action != "token_created")
        assert session.scalar(changes) == 0


def test_whoever_names_nobody_is_asked_who_they_are(api: Api) -> None:
    for operation in OPERATIONS:
        answer = api(operation.method, operation.at(), as_="")
        assert answer.status == 401, operation
        assert answer.headers["WWW-Authenticate"] == "Bearer"
        assert answer.json["error"]["code"] == "not_authenticated"


@pytest.mark.parametrize(
    "text", ["Bearer ", "Bearer tend_1_" + 64 * "0", "Basic cm9vdDpyb290", "Bearer x y", "Bearer ½"]
)
def test_a_token_that_is_none_lets_nobody_in(api: Api, text: str) -> None:
    answer = api("GET", "/runs", as_="", headers={"Authorization": text.encode().decode("latin-1")})
    assert answer.status == 401
    assert answer.json["error"]["code"] in ("token_refused", "not_authenticated")


def test_a_revoked_token_lets_nobody_in_from_the_next_request_on(api: Api) -> None:
    made = tokens.create(api.database, "bob", Role.VIEWER, timedelta(days=1), ADMIN)
    sent = {"Authorization": f"Bearer {made.text}"}
    assert api("GET", "/runs", as_="", headers=sent).status == 200
    tokens.revoke(api.database, tokens.token_id(made.row), ADMIN)
    answer = api("GET", "/runs", as_="", headers=sent)
    assert (answer.status, answer.json["error"]["code"]) == (401, "token_refused")
    assert "The bearer token holds" in answer.json["error"]["message"]


def test_tend_token_of_the_console_itself_lets_nobody_in(api: Api) -> None:
    api.tend.setting("TEND_TOKEN", api.tokens["admin"])
    assert api("GET", "/runs", as_="").status == 401


def test_every_change_takes_a_reason(api: Api) -> None:
    for body in ({}, {"reason": ""}, {"reason": "…"}, {"reason": "for bob@example.org"}):
        answer = api("POST", "/policies/sales-retention/enable", body)
        assert answer.status == 422, body
    behalf = {**WHY, "on_behalf_of": "bob@example.org"}
    assert api("POST", "/policies/sales-retention/enable", behalf).status == 422
    assert api.get("/audit?action=policy_enabled")["entries"] == []
    api.does("/policies/sales-retention/enable", on_behalf_of="finance")
    (entry,) = api.get("/audit?action=policy_enabled")["entries"]
    assert entry["body"]["on_behalf_of"] == "finance"
    assert entry["body"]["actor_token"].startswith("t-")
