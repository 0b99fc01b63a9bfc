"""The printed PostgreSQL roles, made on a real server: they suffice, and no more."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from tests.worker.cli.conftest import AMPLE, Tend, bare, logging_as_it_was, tend, unmigrated
from worker.grants import sql

__all__ = ["bare", "logging_as_it_was", "tend", "unmigrated"]
TABLES = (
    "CREATE TABLE lamps (id int PRIMARY KEY, stock int)",
    "CREATE INDEX ON lamps (stock)",
    "CREATE TABLE lamp_orders (id int PRIMARY KEY, lamp int REFERENCES lamps)",
    "INSERT INTO lamps SELECT n, n - 10 FROM generate_series(1, 20) AS n",
    "INSERT INTO lamp_orders VALUES (1, 3)",
    "CREATE TABLE secrets (id int PRIMARY KEY)",
)
NO_STOCK = (
    AMPLE
    + """
job: retention_purge
description: Lamps of which there are less than none go.
options:
  target: sql
  collection: lamps
  select:
    less_than: {field: stock, value: 0}
undo: 7d
"""
)


@pytest.fixture
def owner(tend: Tend, postgres_url: str, tmp_path: Path) -> Iterator[Engine]:
    """The tables' owner, who has made the roles as printed, and a user for each."""
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "no-stock.yaml").write_text(f"name: no-stock\n{NO_STOCK}")
    tend.setting("TEND_POLICY_DIR", str(folder))
    for name in ("TEND_MONGO_URL", "TEND_MONGO_READ_URL"):
        tend.patch.delenv(name)
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        for statement in TABLES:
            connection.execute(text(statement))
    tend.setting("TEND_SQL_URL", postgres_url)
    printed = [line for line in tend("doctor", "--grants").out.splitlines() if line[:2] != "--"]
    assert printed == tend.json("doctor", "--grants")["sql"]
    users = [f"CREATE ROLE {role}_user LOGIN PASSWORD 'x' IN ROLE {role}" for role in roles()]
    with engine.begin() as connection:
        for statement in [*printed, *users]:
            connection.execute(text(statement))
    yield engine
    with engine.begin() as connection:
        for role in roles():
            connection.execute(text(f"DROP OWNED BY {role}, {role}_user"))
            connection.execute(text(f"DROP ROLE {role}, {role}_user"))
    engine.dispose()


def roles() -> tuple[str, str]:
    return sql.TRIAL, sql.WORK


def login(owner: Engine, role: str) -> str:
    url = make_url(owner.url).set(username=f"{role}_user", password="x")  # noqa: S106 - of a test
    return url.render_as_string(hide_password=False)


def act_as(tend: Tend, owner: Engine, work: str) -> None:
    tend.setting("TEND_SQL_URL", login(owner, work))
    tend.setting("TEND_SQL_READ_URL", login(owner, sql.TRIAL))


def lamps(owner: Engine) -> int:
    with owner.connect() as connection:
        return int(connection.execute(text("SELECT count(*) FROM lamps")).scalar_one())


def test_the_role_for_a_trial_suffices_to_plan_and_changes_nothing(
    tend: Tend, owner: Engine, tmp_path: Path
) -> None:
    act_as(tend, owner, sql.TRIAL)
    assert tend.json("plan", "no-stock")["planned"] == 9
    assert len(tend.json("explain", "sql/lamps/3")["records"]) == 1
    bold = f"name: no-stock\n{NO_STOCK}throttle: {{missing: go}}\n"
    (tmp_path / "policies" / "no-stock.yaml").write_text(bold)
    refused = tend("run", "no-stock", "--reason", "x", "--inline")
    assert refused.code == 1
    assert "does not allow this user" in refused.err
    assert lamps(owner) == 20


def test_the_role_for_working_suffices_for_a_whole_run_and_its_undo(
    tend: Tend, owner: Engine
) -> None:
    act_as(tend, owner, sql.WORK)
    run = tend.json("run", "no-stock", "--reason", "x", "--inline")
    assert (run["state"], run["changed"], run["failed"]) == ("succeeded", 8, 1)
    assert lamps(owner) == 12
    assert tend.json("undo", "r-1", "--reason", "x", "--inline")["state"] == "undone"
    assert lamps(owner) == 20


def test_the_doctor_is_content_with_both_roles(tend: Tend, owner: Engine) -> None:
    act_as(tend, owner, sql.WORK)
    checks = {check["check"]: check for check in tend("doctor", "--json").json["checks"]}
    assert checks["sql_user"]["status"] == "ok"
    assert checks["sql_read_user"]["status"] == "ok"
    assert checks["sql_indicators"]["status"] == "ok"


@pytest.mark.parametrize("role", roles())
def test_neither_role_reaches_what_no_policy_names(owner: Engine, role: str) -> None:
    engine = create_engine(login(owner, role))
    with (
        engine.connect() as connection,
        pytest.raises(Exception, match="permission denied for table secrets"),
    ):
        connection.execute(text("SELECT * FROM secrets"))
    engine.dispose()
