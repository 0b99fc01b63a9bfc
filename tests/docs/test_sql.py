"""`docs/sql.md`: its grants suffice for a run and its undo, and its codes are those there are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import pytest
from sqlalchemy import Engine, create_engine, make_url, text

from tests.docs.pages import PAGES, ROOT, blocks, section
from tests.policies.written import load_all, write
from tests.worker.scenario import Clock, Scenario, inline_engine, policy_text
from worker import claims
from worker.database import Database
from worker.keys import Keyring
from worker.registry import frozen_policy
from worker.targets.sql import SqlTarget

PAGE = PAGES["docs/sql.md"]
(GRANTS,) = blocks(PAGE, "sql")
(EXAMPLE,) = blocks(PAGE, "yaml")
TABLES = (
    "CREATE TABLE products (id int PRIMARY KEY, stock int)",
    "CREATE INDEX ON products (stock)",
    "CREATE TABLE order_items (id int PRIMARY KEY, product_id int REFERENCES products)",
    "INSERT INTO products SELECT n, n - 30 FROM generate_series(1, 60) AS n",
    "INSERT INTO order_items VALUES (1, 7)",
)


@pytest.fixture
def owner(postgres_url: str) -> Iterator[Engine]:
    """The tables' owner, who has made the users as the page says."""
    engine = create_engine(postgres_url)
    with engine.begin() as connection:
        for statement in (*TABLES, *filter(None, map(str.strip, GRANTS.split(";")))):
            connection.execute(text(statement))
    yield engine
    with engine.begin() as connection:
        for user in ("tend", "tend_reader"):
            connection.execute(text(f"DROP OWNED BY {user}"))
            connection.execute(text(f"DROP ROLE {user}"))
    engine.dispose()


@pytest.fixture
def on_sql(
    owner: Engine, control: Database, keyring: Keyring, tmp_path: Path
) -> Iterator[Scenario]:
    def login(user: str) -> str:
        url = make_url(owner.url).set(username=user, password="…")  # noqa: S106 - the page's
        return url.render_as_string(hide_password=False)

    target, clock = SqlTarget(login("tend"), login("tend_reader")), Clock()
    engine = inline_engine(control, {"sql": target}, keyring, tmp_path, clock)
    yield Scenario(engine, cast(Any, None), clock)
    target.close()


def stock(owner: Engine) -> list[tuple[int, int]]:
    with owner.connect() as connection:
        query = text("SELECT id, stock FROM products ORDER BY id")
        return [(row.id, row.stock) for row in connection.execute(query)]


def test_the_grants_suffice_to_plan_take_over_delete_and_undo(
    on_sql: Scenario, owner: Engine
) -> None:
    before = stock(owner)
    select = {"less_than": {"field": "stock", "value": 0}}
    options = {"target": "sql", "collection": "products", "select": select}
    run = on_sql.plan(frozen_policy(policy_text(job="retention_purge", options=options)))
    on_sql.apply_later(run)
    engine = on_sql.engine
    assert claims.claim(engine.database, run.id, "a worker that dies", engine.actor) is not None
    on_sql.expire_leases()
    assert on_sql.advance(run.id).state == "succeeded"
    assert stock(owner) == [row for row in before if row[1] >= 0 or row[0] == 7]
    assert sum(chunk.failed for chunk in on_sql.chunks(run.id)) == 1
    with owner.begin() as connection:
        connection.execute(text("REVOKE CREATE ON SCHEMA public FROM tend"))
    assert on_sql.undo(run).state == "undone"
    assert stock(owner) == before


def test_its_example_is_a_policy_on_sql(tmp_path: Path) -> None:
    (loaded,) = load_all(write(tmp_path, EXAMPLE)).values()
    assert loaded.policy.collection == "sql/kiosk_stock"


def test_every_code_it_lists_is_one_that_the_target_says() -> None:
    listed = section(PAGE, "What is left, and why")
    codes = {code for line in listed.splitlines() for code in re.findall(r"`([a-z_]+)`", line[:45])}
    sources = [path.read_text() for path in (ROOT / "worker/targets").glob("sql*.py")]
    assert codes >= {"still_referenced", "parent_missing", "schema_changed", "key_taken"}
    for code in codes:
        assert any(f'"{code}"' in source for source in sources), code
