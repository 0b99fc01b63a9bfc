"""TEND_TOKEN: whose it is decides what a command may do, and a wrong one does nothing at all."""

import os
from datetime import UTC, datetime
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select, update

from tests.worker.cli.conftest import Tend
from tests.worker.cli.test_documentation import real_commands
from worker import access
from worker.database import Database
from worker.identity import Role
from worker.tables import Table, Token

COMMANDS = real_commands()
CHANGES = sorted(name for name, role in access.LEAST.items() if role != Role.VIEWER)
READS = sorted(set(access.LEAST) - set(CHANGES))


def words(name: str) -> list[str]:
    """The command, with something in place of everything that it requires."""
    given = name.split()
    for parameter in COMMANDS[name].params:
        if parameter.required:
            option = [parameter.opts[0]] if parameter.opts[0].startswith("-") else []
            given += [*option, _value(parameter.type_descriptor.annotation)]
    return given


def _value(kind: type) -> str:
    if issubclass(kind, Enum):
        return str(next(iter(kind)))
    return "1" if issubclass(kind, int) else "r-1"


def create(tend: Tend, role: Role) -> str:
    """The text of a new token of somebody called like their role."""
    made = tend.json("token", "create", role, "--role", role, "--reason", "a test")
    return str(made["token"])


def act_as(tend: Tend, role: Role) -> None:
    admin = create(tend, Role.ADMIN)
    tend.setting("TEND_TOKEN", admin)
    if role != Role.ADMIN:
        tend.setting("TEND_TOKEN", create(tend, role))


def everything() -> list[Any]:
    """Every row of the control database."""
    database = Database(os.environ["TEND_DATABASE_URL"])
    with database.transaction() as session:
        tables = Table.metadata.sorted_tables
        contents = [session.execute(select(table)).all() for table in tables]
    database.close()
    return contents


@pytest.mark.parametrize("name", CHANGES)
def test_a_viewer_is_refused_every_change_and_nothing_happens(bare: Tend, name: str) -> None:
    act_as(bare, Role.VIEWER)
    before = everything()
    ended = bare(*words(name), "--json")
    assert (ended.code, ended.json["error"]["code"]) == (1, "not_allowed")
    assert ended.err.startswith(f"viewer is a viewer, and `tend {name}` takes an")
    assert everything() == before


@pytest.mark.parametrize("name", READS)
def test_a_viewer_may_read(
    bare: Tend, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where an export may write the file that it is told to."""
    monkeypatch.chdir(tmp_path)
    act_as(bare, Role.VIEWER)
    ended = bare(*words(name))
    assert "viewer is a viewer" not in ended.err


@pytest.mark.parametrize("name", sorted(COMMANDS))
def test_a_token_that_is_not_valid_does_nothing_whatever_the_command(bare: Tend, name: str) -> None:
    act_as(bare, Role.ADMIN)
    bare.setting("TEND_TOKEN", os.environ["TEND_TOKEN"][:-4] + "beef")
    before = everything()
    ended = bare(*words(name), "--json")
    assert (ended.code, ended.json["error"]["code"]) == (1, "token_refused")
    assert everything() == before


def test_an_expired_token_never_falls_back_to_a_claimed_identity(bare: Tend) -> None:
    act_as(bare, Role.ADMIN)
    database = Database(os.environ["TEND_DATABASE_URL"])
    with database.transaction() as session:
        session.execute(update(Token).values(expires_at=datetime(2026, 3, 1, tzinfo=UTC)))
    database.close()
    before = everything()
    ended = bare("enable", "text-dates", "--reason", "x")
    assert ended.code == 1
    assert "holds t-1 of admin, which expired on 2026-03-01 00:00 UTC" in ended.err
    assert everything() == before


def test_what_is_no_token_at_all_is_a_wrong_setting(bare: Tend) -> None:
    bare.setting("TEND_TOKEN", "hunter2")
    ended = bare("runs")
    assert ended.code == 2
    assert ended.err.startswith("TEND_TOKEN holds no token; ")
    assert "hunter2" not in ended.err


def test_a_change_is_on_record_under_the_name_that_the_token_proves(bare: Tend) -> None:
    act_as(bare, Role.OPERATOR)
    bare.json("enable", "text-dates", "--reason", "reviewed", "--on-behalf-of", "finance")
    *_, entry = bare.json("audit", "list")["entries"]
    body = entry["body"]
    assert (body["actor"], body["actor_proof"], body["actor_token"]) == ("operator", "token", "t-2")
    assert body["on_behalf_of"] == "finance"


def test_reading_goes_on_when_the_control_database_cannot_be_asked(bare: Tend) -> None:
    act_as(bare, Role.VIEWER)
    bare.setting("TEND_DATABASE_URL", "postgresql://127.0.0.1:1/tend")
    assert bare("policies", "show", "text-dates").code == 0
    ended = bare("enable", "text-dates", "--reason", "x")
    assert ended.code == 1
    assert "does not answer; check TEND_DATABASE_URL" in ended.err


def test_a_token_that_cannot_be_checked_does_not_migrate(unmigrated: Tend) -> None:
    unmigrated.setting("TEND_TOKEN", "tend_1_" + "0" * 64)
    ended = unmigrated("migrate")
    assert ended.code == 1
    assert "unset it for `tend migrate`" in ended.err
    unmigrated.patch.delenv("TEND_TOKEN")
    assert unmigrated("migrate").code == 0
