"""`kill -9` at every step of a batch on PostgreSQL: each planned row is changed once."""

import json
import signal
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Engine, create_engine, text

from policies.models import Policy
from tests.faults.invariants import Done, assert_nothing_lost_or_done_twice
from tests.faults.processes import PATIENCE
from tests.faults.victim import SQL_STEPS, start
from tests.worker.scenario import Scenario, policy_text
from worker.registry import frozen_policy
from worker.targets.sql import SqlTarget

pytestmark = pytest.mark.sqlite_control

RECORDS = 240
TABLE = (
    "CREATE TABLE products (id int PRIMARY KEY, stock int)",
    "CREATE INDEX ON products (stock)",
    f"INSERT INTO products SELECT n, n - {RECORDS} FROM generate_series(0, {RECORDS + 19}) AS n",  # noqa: S608 - our own numbers
)


@pytest.fixture
def shop(scenario: Scenario, postgresql_shop_url: str) -> Iterator[Engine]:
    engine = create_engine(postgresql_shop_url)
    with engine.begin() as connection:
        for statement in TABLE:
            connection.execute(text(statement))
    target = SqlTarget(postgresql_shop_url)
    scenario.engine = replace(scenario.engine, targets={"sql": target})
    yield engine
    target.close()
    engine.dispose()


def purge(**more: Any) -> Policy:
    select = {"less_than": {"field": "stock", "value": 0}}
    options = {"target": "sql", "collection": "products", "select": select}
    parts = {"batch": {"records": 20}, "chunk": 60, **more}
    return frozen_policy(policy_text(job="retention_purge", options=options, **parts))


def missing(shop: Engine) -> set[int]:
    with shop.connect() as connection:
        left = set(connection.execute(text("SELECT id FROM products")).scalars())
    assert left >= set(range(RECORDS, RECORDS + 20))
    return set(range(RECORDS)) - left


def fence(shop: Engine, name: str) -> tuple[int, list[Done]]:
    with shop.connect() as connection:
        query = text("SELECT cursor, batches FROM tend_fences WHERE name = :name")
        row = connection.execute(query, {"name": name}).one()
    lines = [json.loads(line) for line in row.batches.splitlines()]
    return row.cursor, [(start, end, counts[0]) for _, start, end, _, counts, _ in lines]


@pytest.mark.parametrize("step", SQL_STEPS)
def test_a_worker_killed_at_a_step_leaves_exact_work(
    scenario: Scenario,
    environment: dict[str, str],
    shop: Engine,
    postgresql_shop_url: str,
    step: str,
) -> None:
    plan = scenario.plan(purge())
    scenario.apply_later(plan)
    site = {**environment, "TEND_SQL_URL": postgresql_shop_url}
    victim = start(site, plan.id, step, 1 if "chunk" in step else 3, signal.SIGKILL)
    assert victim.wait(PATIENCE) == -signal.SIGKILL
    scenario.expire_leases()
    run = scenario.work_off(plan.id)
    assert run.state == "succeeded"
    assert missing(shop) == set(range(RECORDS))
    assert_nothing_lost_or_done_twice(
        scenario, run.id, missing(shop), lambda name: fence(shop, name)
    )
