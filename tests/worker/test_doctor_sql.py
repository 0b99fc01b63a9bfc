"""The doctor of a site whose records are in SQL."""

import os
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from uuid import uuid4

import pytest
from pydantic import SecretStr
from sqlalchemy import create_engine, make_url, text

from policies.models import Policy
from tests.worker.scenario import TESTER
from worker import migrate, operations
from worker.database import Database
from worker.doctor import examine
from worker.doctor.check import Site
from worker.registry import Policies
from worker.settings import Settings
from worker.targets.sql import SqlTarget

POLICY = """
name: {name}
job: value_repair
description: A negative stock becomes 0.
options:
  target: sql
  collection: {name}
  repairs:
    - {{field: stock, when: negative, set: 0}}
guards: {{max_records: 1, max_percent: 1}}
undo: 7d
"""
TABLES = (
    "CREATE TABLE products (id int PRIMARY KEY, stock int)",
    "CREATE INDEX stock ON products (stock)",
    "CREATE TABLE lines (id int PRIMARY KEY, product int REFERENCES products)",
)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("TEND_")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """The policies of the site: one."""
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "products.yaml").write_text(POLICY.format(name="products"))
    return folder


def execute(url: str, *statements: str) -> None:
    engine = create_engine(make_url(url).set(drivername=driver(url)))
    with engine.begin() as connection:
        for statement in statements:
            connection.execute(text(statement))
    engine.dispose()


def driver(url: str) -> str:
    return "sqlite" if url.startswith("sqlite") else "postgresql+psycopg"


@pytest.fixture
def on_postgres(postgres_url: str, folder: Path) -> Settings:
    execute(postgres_url, *TABLES)
    return Settings(sql_url=SecretStr(postgres_url), policy_dir=str(folder))


@pytest.fixture
def on_sqlite(tmp_path: Path, folder: Path) -> Settings:
    url = f"sqlite:///{tmp_path / 'shop.sqlite'}"
    execute(url, *TABLES)
    return Settings(sql_url=SecretStr(url), policy_dir=str(folder))


@pytest.fixture
def user(on_postgres: Settings) -> Iterator[str]:
    """The name of a user who may log in and nothing else."""
    name, admin = f"user_{uuid4().hex[:12]}", on_postgres.need("sql_url")
    execute(admin, f"CREATE ROLE {name} LOGIN PASSWORD 'right'")
    yield name
    execute(admin, f"DROP OWNED BY {name}", f"DROP ROLE {name}")


def as_user(settings: Settings, name: str, setting: str = "sql_url") -> Settings:
    url = make_url(settings.need("sql_url")).set(username=name, password="right")  # noqa: S106 - a test's
    secret = SecretStr(url.render_as_string(hide_password=False))
    return settings.model_copy(update={setting: secret})


def looked_at(settings: Settings) -> dict[str, tuple[str, str]]:
    """What is said of SQL, of the other kind of target and of the policies."""
    found = examine(Site(settings))
    return {
        each.check: (each.status, each.says)
        for each in found
        if each.check.startswith(("sql", "mongodb", "policy:"))
    }


def test_a_database_that_is_as_it_should_be_is_ok(on_postgres: Settings) -> None:
    found = looked_at(on_postgres)
    assert set(found) == {
        *("sql", "sql_clock", "sql_user", "sql_read_user", "sql_indicators"),
        *("mongodb", "policy:products"),
    }
    del found["mongodb"]
    assert {status for status, _ in found.values()} == {"ok"}
    assert found["sql"][1].startswith("PostgreSQL 16")


def test_a_sqlite_file_is_looked_at_alike(on_sqlite: Settings) -> None:
    found = looked_at(on_sqlite)
    del found["mongodb"]
    assert {status for status, _ in found.values()} == {"ok"}
    assert found["sql"][1].startswith("SQLite 3")
    assert "this process may write its file" in found["sql_user"][1]
    assert "has no indicators" in found["sql_indicators"][1]


def test_a_file_that_is_not_there_is_not_made(on_sqlite: Settings, tmp_path: Path) -> None:
    path = tmp_path / "typo.sqlite"
    found = looked_at(on_sqlite.model_copy(update={"sql_url": SecretStr(f"sqlite:///{path}")}))
    assert found["sql"] == (
        "failed",
        "SQLite database typo.sqlite cannot be opened; check the path in TEND_SQL_URL.",
    )
    assert not path.exists()


def test_a_missing_index_comes_with_the_command_that_creates_it(on_postgres: Settings) -> None:
    execute(on_postgres.need("sql_url"), "DROP INDEX stock")
    status, says = looked_at(on_postgres)["policy:products"]
    assert status == "failed"
    assert "CREATE INDEX CONCURRENTLY ON products (stock);" in says


def test_the_grants_it_prints_are_those_that_a_run_needs(on_postgres: Settings, user: str) -> None:
    url = on_postgres.need("sql_url")
    status, says = looked_at(as_user(on_postgres, user))["sql_user"]
    assert status == "failed"
    grants = [f"GRANT{each}" for each in says.partition(": ")[2].split("GRANT")[1:]]
    assert grants == [
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON products TO {user}; ",
        f"GRANT SELECT ON lines TO {user}; ",
        f"GRANT USAGE, CREATE ON SCHEMA public TO {user};",
    ]
    execute(url, *grants)
    assert looked_at(as_user(on_postgres, user))["sql_user"][0] == "ok"


def test_a_quarantine_that_is_needed_comes_with_its_statements_and_grants(
    on_postgres: Settings, user: str, folder: Path
) -> None:
    quarantining = POLICY.format(name="products").replace("set: 0", "quarantine: 90d")
    (folder / "products.yaml").write_text(quarantining)
    status, says = looked_at(on_postgres)["policy:products"]
    assert status == "failed"
    create = says[says.index("CREATE TABLE") :]
    execute(on_postgres.need("sql_url"), create)
    assert looked_at(on_postgres)["policy:products"][0] == "ok"
    _, says = looked_at(as_user(on_postgres, user))["sql_user"]
    assert f"GRANT SELECT, INSERT, UPDATE, DELETE ON products_quarantine TO {user};" in says


def test_who_cannot_create_the_fences_can_use_those_that_are_there(
    on_postgres: Settings, user: str
) -> None:
    url = on_postgres.need("sql_url")
    with closing(SqlTarget(url)) as target:
        target.close_fence("run/apply/0")
    execute(
        url,
        f"GRANT SELECT, INSERT, UPDATE, DELETE ON products TO {user}",
        f"GRANT SELECT ON lines TO {user}",
    )
    status, says = looked_at(as_user(on_postgres, user))["sql_user"]
    assert status == "failed"
    assert says.endswith(f": GRANT SELECT, INSERT, UPDATE, DELETE ON tend_fences TO {user};")
    execute(url, f"GRANT SELECT, INSERT, UPDATE, DELETE ON tend_fences TO {user}")
    assert looked_at(as_user(on_postgres, user))["sql_user"][0] == "ok"


def test_a_user_for_reading_reads_and_no_more(on_postgres: Settings, user: str) -> None:
    site = as_user(on_postgres, user, "sql_read_url")
    status, says = looked_at(site)["sql_read_user"]
    assert (status, says.partition(": ")[2]) == (
        "failed",
        f"GRANT SELECT ON products TO {user};",
    )
    execute(on_postgres.need("sql_url"), f"GRANT SELECT ON products TO {user}")
    assert looked_at(site)["sql_read_user"] == (
        "ok",
        "The user in TEND_SQL_READ_URL reads and cannot write.",
    )
    execute(on_postgres.need("sql_url"), f"GRANT UPDATE ON products TO {user}")
    status, says = looked_at(site)["sql_read_user"]
    assert status == "warning"
    assert "may write (UPDATE on products)" in says


@pytest.mark.parametrize(
    ("setting", "check"), [("sql_url", "sql_user"), ("sql_read_url", "sql_read_user")]
)
def test_a_user_from_whom_rows_are_hidden_is_found(
    on_postgres: Settings, user: str, setting: str, check: str
) -> None:
    execute(
        on_postgres.need("sql_url"),
        "ALTER TABLE products ENABLE ROW LEVEL SECURITY",
        f"GRANT ALL ON ALL TABLES IN SCHEMA public TO {user}",
    )
    status, says = looked_at(as_user(on_postgres, user, setting))[check]
    assert status == "failed"
    assert says.startswith("Row level security may hide rows of products from the user in TEND_SQL")
    execute(on_postgres.need("sql_url"), f"ALTER ROLE {user} BYPASSRLS")
    assert "Row level" not in looked_at(as_user(on_postgres, user, setting))[check][1]


def test_a_wrong_password_is_not_repeated(on_postgres: Settings) -> None:
    url = make_url(on_postgres.need("sql_url")).set(username="tend", password="hunter2")  # noqa: S106 - a test's
    secret = SecretStr(url.render_as_string(hide_password=False))
    found = looked_at(on_postgres.model_copy(update={"sql_url": secret}))
    for check in ("sql", "sql_clock", "sql_user", "policy:products"):
        assert found[check][0] == "failed"
        assert "refused the user or password" in found[check][1]
        assert "hunter2" not in found[check][1]


def test_a_host_whose_clock_is_wrong_is_warned_of(on_postgres: Settings) -> None:
    late = Site(on_postgres, clock=lambda: datetime.now(UTC) - timedelta(seconds=5))
    (found,) = (each for each in examine(late) if each.check == "sql_clock")
    assert found.status == "warning"
    assert "PostgreSQL's clock is" in found.says


def test_a_kind_without_a_database_names_what_does_not_fire(
    on_sqlite: Settings, folder: Path, sqlite_url: str
) -> None:
    (folder / "sales.yaml").write_text(
        POLICY.format(name="sales").replace("target: sql", "target: mongo")
    )
    with closing(Database(sqlite_url)) as control:
        migrate.upgrade(control)
        site = on_sqlite.model_copy(update={"database_url": SecretStr(sqlite_url)})
        found = looked_at(site)
        assert found["mongodb"] == (
            "ok",
            "TEND_MONGO_URL is not set, so 1 policies do not fire: sales.",
        )
        assert "policy:sales" not in found
        operations.enable(control, _policy(site, "sales"), TESTER)
        status, says = looked_at(site)["mongodb"]
    assert status == "failed"
    assert says.startswith("sales cannot run, though enabled. TEND_MONGO_URL is not set: put")


def _policy(settings: Settings, name: str) -> Policy:
    return Policies.load(settings.policy_directories).get(name).policy


def test_a_user_who_does_not_see_other_sessions_is_told_what_to_grant_and_what_stops(
    on_postgres: Settings, user: str, folder: Path
) -> None:
    blind = as_user(on_postgres, user)
    status, says = looked_at(blind)["sql_indicators"]
    assert status == "failed"
    assert says == (
        "The throttle cannot read active sessions, replication lag: the user does not see other "
        "sessions, grant pg_monitor. That stops products, whose throttle does not say "
        "`missing: go`."
    )
    bold = POLICY.format(name="products") + "throttle: {missing: go}\n"
    (folder / "products.yaml").write_text(bold)
    status, says = looked_at(blind)["sql_indicators"]
    assert (status, says.endswith("No policy stops for it.")) == ("warning", True)
    execute(on_postgres.need("sql_url"), f"GRANT pg_monitor TO {user}")
    assert looked_at(blind)["sql_indicators"][0] == "ok"
