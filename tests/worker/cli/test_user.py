"""`tend user`: what it asks, prints and changes."""

import io
import os
import re
from contextlib import closing

import pytest

from tests.worker.cli.conftest import Tend
from worker.console import sessions
from worker.console.sessions import Proven
from worker.database import Database
from worker.identity import Role

PASSWORD = "correct horse battery"  # noqa: S105 - of nobody


@pytest.fixture
def admin(bare: Tend) -> Tend:
    made = bare.json("token", "create", "root", "--role", "admin", "--reason", "the first one")
    bare.setting("TEND_TOKEN", made["token"])
    return bare


def typed(tend: Tend, text: str) -> None:
    tend.patch.setattr("sys.stdin", io.StringIO(text))


def test_the_password_comes_from_standard_input_and_is_printed_nowhere(admin: Tend) -> None:
    typed(admin, PASSWORD + "\n")
    ended = admin("user", "create", "ann", "--role", "operator", "--reason", "CASE-1")
    assert ended.out == "[development] ann: operator, enabled\n"
    assert PASSWORD not in ended.out + ended.err
    (ann,) = admin.json("user", "list")["users"]
    assert (ann["name"], ann["role"], ann["created_by"]) == ("ann", "operator", "root")
    assert "argon2" not in str(ann)


def test_without_a_password_there_is_no_user(admin: Tend) -> None:
    typed(admin, "")
    ended = admin("user", "create", "ann", "--role", "operator", "--reason", "CASE-1")
    assert ended.code == 2
    assert "too easily guessed" in ended.err
    assert admin.json("user", "list") == {"users": []}


def test_a_user_is_disabled_and_let_in_again_by_another_password(admin: Tend) -> None:
    typed(admin, PASSWORD + "\n")
    admin.json("user", "create", "ann", "--role", "operator", "--reason", "CASE-1")
    assert admin.json("user", "disable", "ann", "--reason", "CASE-2")["state"] == "disabled"
    assert re.search(r"^ann +operator +disabled", admin("user", "list").out, re.MULTILINE)
    typed(admin, "another " + PASSWORD + "\n")
    assert admin.json("user", "password", "ann", "--reason", "CASE-3")["state"] == "enabled"


def test_a_link_is_a_path_on_a_line_of_its_own(admin: Tend) -> None:
    typed(admin, PASSWORD + "\n")
    admin.json("user", "create", "ann", "--role", "operator", "--reason", "CASE-1")
    out = admin("user", "link", "ann", "--reason", "CASE-2").out
    assert re.fullmatch(r"/login/once/[0-9a-f]{64}", out.splitlines()[-1])
    assert admin.json("user", "link", "ann", "--reason", "CASE-2")["minutes"] == 15


def test_a_person_is_logged_out_everywhere(admin: Tend) -> None:
    database = Database(os.environ["TEND_DATABASE_URL"])
    with closing(database), database.transaction() as session:
        for _ in range(2):
            sessions.begin(session, Proven("oidc:ann", Role.OPERATOR, "oidc", account="a"))
    words = ("user", "logout", "oidc:ann", "--reason", "CASE-4: a laptop was stolen")
    assert admin(*words).out == "[development] oidc:ann: 2 sessions ended\n"
    assert admin.json(*words) == {"name": "oidc:ann", "sessions": 0}


def test_nobody_is_logged_out_who_never_logged_in(admin: Tend) -> None:
    ended = admin("user", "logout", "ann", "--reason", "CASE-4")
    assert ended.code == 2
    assert "Nobody called 'ann' has ever logged in" in ended.err
