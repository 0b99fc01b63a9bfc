"""Whole runs on SQL: planned, applied, verified and taken back by the engine as it is."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, cast

import pytest

from policies.models import Policy
from tests.worker.scenario import NOW, TESTER, Clock, Scenario, inline_engine, old, policy_text
from tests.worker.targets.shops import Site
from worker import advance, applying, claims, operations
from worker.database import Database
from worker.errors import TargetMissing
from worker.keys import Keyring
from worker.registry import frozen_policy
from worker.tables import Run


@pytest.fixture
def shop(site: Site) -> Site:
    site.run(
        """CREATE TABLE products (store int, sku varchar(9), stock int, price numeric(10, 2),
            updated timestamp, PRIMARY KEY (store, sku))""",
        "CREATE INDEX updated ON products (updated)",
        "CREATE INDEX stock ON products (stock)",
        "CREATE INDEX price ON products (price)",
    )
    for number in range(60):
        at = (NOW - timedelta(days=number)).strftime("%Y-%m-%d %H:%M:%S")
        row = (number % 3, f"s{number}", number - 20, number - 30.5, at)
        site.run(f"INSERT INTO products VALUES {row}")  # noqa: S608 - our own values
    return site


@pytest.fixture
def scenario(
    shop: Site, migrated_sqlite_url: str, keyring: Keyring, tmp_path: Path
) -> Iterator[Scenario]:
    database = Database(migrated_sqlite_url)
    clock = Clock()
    engine = inline_engine(database, {"sql": shop.target}, keyring, tmp_path, clock)
    yield Scenario(engine, cast(Any, None), clock)
    database.close()


def purge() -> Policy:
    options = {
        "target": "sql",
        "collection": "products",
        "select": {"older_than": {"field": "updated", "age": "30d"}},
        "unless": {"less_than": {"field": "stock", "value": 15}},
    }
    return frozen_policy(policy_text(job="retention_purge", options=options))


def repair() -> Policy:
    repairs = [{"field": name, "when": "negative", "set": 0} for name in ("stock", "price")]
    options = {"target": "sql", "collection": "products", "repairs": repairs}
    return frozen_policy(policy_text(job="value_repair", options=options))


def everything(site: Site) -> list[tuple[Any, ...]]:
    return site.rows("SELECT * FROM products ORDER BY store, sku")


def counted(scenario: Scenario, run: Run, direction: str = "apply") -> tuple[int, ...]:
    with scenario.engine.database.transaction() as session:
        return claims.totals(session, run.id, direction).counts


def test_a_purge_runs_from_plan_to_undo(scenario: Scenario, shop: Site) -> None:
    before = everything(shop)
    run = scenario.run_through(purge())
    assert (run.state, run.planned, run.population) == ("succeeded", 25, 60)
    assert counted(scenario, run)[0] == 25
    assert run.remaining is not None
    assert run.remaining["total"] == 0
    assert len(everything(shop)) == 35
    assert scenario.undo(run).state == "undone"
    assert everything(shop) == before


def test_a_repair_runs_from_plan_to_undo(scenario: Scenario, shop: Site) -> None:
    before = everything(shop)
    run = scenario.run_through(repair())
    assert (run.state, run.planned) == ("succeeded", 31)
    mended = [(max(stock, 0), max(price, 0)) for _, _, stock, price, _ in before]
    assert [(row[2], row[3]) for row in everything(shop)] == mended
    shop.run("UPDATE products SET stock = 4 WHERE sku = 's3'")
    scenario.undo(run)
    assert counted(scenario, run, "undo")[:2] == (30, 1)
    after = {row[:2]: row for row in everything(shop)}
    assert all(after[row[:2]] == row for row in before if row[1] != "s3")


def test_a_plan_shows_what_it_found(scenario: Scenario, shop: Site) -> None:
    before = everything(shop)
    run = scenario.plan(repair())
    assert run.preview is not None
    assert Decimal(run.preview["sums"]["stock"]["before"]) == -sum(range(1, 21))
    assert run.preview["estimate"]["archive_bytes_at_most"] > 0
    assert everything(shop) == before


def test_what_changed_since_the_plan_is_left(scenario: Scenario, shop: Site) -> None:
    plan = scenario.plan(purge())
    shop.run(
        "UPDATE products SET stock = 1 WHERE sku = 's40'", "DELETE FROM products WHERE sku = 's41'"
    )
    run = scenario.apply(plan)
    assert counted(scenario, run)[:3] == (23, 1, 1)
    assert shop.rows("SELECT stock FROM products WHERE sku = 's40'") == [(1,)]


def test_a_plan_shows_the_oldest_day(scenario: Scenario, shop: Site) -> None:
    shop.run("ALTER TABLE products ADD COLUMN listed date")
    shop.run(
        "UPDATE products SET listed = '2026-01-02'", "CREATE INDEX listed ON products (listed)"
    )
    options = {
        "target": "sql",
        "collection": "products",
        "select": {"older_than": {"field": "listed", "age": "30d"}},
    }
    run = scenario.plan(frozen_policy(policy_text(job="retention_purge", options=options)))
    assert run.preview is not None
    assert run.preview["oldest"] == run.preview["newest"] == "2026-01-02T00:00:00+00:00"


def test_a_cancelled_run_closes_its_fences_and_can_be_taken_back(
    scenario: Scenario, shop: Site
) -> None:
    before, engine = everything(shop), scenario.engine
    run_id = scenario.request(repair())
    assert advance.plan(engine, run_id)
    first, second = (claims.claim(engine.database, run_id, "w", engine.actor) for _ in range(2))
    assert first is not None
    assert second is not None
    assert applying.work_on(engine, first)
    operations.cancel(engine, run_id, TESTER)
    assert not applying.work_on(engine, second)
    assert shop.rows("SELECT count(*) FROM tend_fences WHERE closed") == [(1,)]
    run = scenario.run(run_id)
    assert (run.state, counted(scenario, run)[0]) == ("cancelled", 25)
    assert scenario.undo(run).state == "undone"
    assert everything(shop) == before


def test_what_is_past_its_time_leaves_no_fence(scenario: Scenario, shop: Site) -> None:
    run = scenario.run_through(purge())
    assert shop.rows("SELECT count(*) FROM tend_fences") == [(1,)]
    with scenario.engine.database.transaction() as session:
        session.get_one(Run, run.id).expires_at = old(1)
    scenario.advance(run.id)
    assert shop.rows("SELECT count(*) FROM tend_fences") == [(0,)]
    assert scenario.run(run.id).key is None


def test_a_run_without_its_target_fails_with_the_setting_and_can_be_resumed(
    scenario: Scenario, shop: Site
) -> None:
    plan = scenario.plan(purge())
    engine = scenario.engine
    scenario.engine = replace(engine, targets={})
    scenario.apply_later(plan)
    with pytest.raises(TargetMissing):  # its summary waits, as everything else does
        scenario.advance(plan.id)
    failed = scenario.run(plan.id)
    assert failed.state == "failed"
    assert failed.error is not None
    assert "TEND_SQL_URL is not set: put" in failed.error
    scenario.engine = engine
    assert scenario.resume(failed).state == "succeeded"
    assert len(everything(shop)) == 35
