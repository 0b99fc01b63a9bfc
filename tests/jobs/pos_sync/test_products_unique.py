"""Nothing is synced into products that two workers could write twice."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from sqlalchemy import text

import policies
from jobs.pos_sync.products_unique import ProductsNotUnique
from jobs.pos_sync.syncing import PosSync
from policies.models import Policy
from tests.jobs.pos_stores import arrange
from tests.worker.scenario import NOW, Scenario
from worker.registry import Policies
from worker.targets.sql import SqlTarget
from worker.targets.sql_indexes import SqlIndexes
from worker.tasks.context import Checking

pytestmark = pytest.mark.sqlite_control


@pytest.fixture
def policy() -> Policy:
    return Policies.load([Path(policies.__path__[0])]).get("pos-sync").policy


@pytest.fixture
def kiosks(scenario: Scenario, sqlite_shop_url: str) -> Iterator[SqlTarget]:
    sql = SqlTarget(sqlite_shop_url)
    targets = {**scenario.engine.targets, "sql": sql}
    scenario.engine = replace(scenario.engine, targets=targets)
    arrange(scenario)
    yield sql
    sql.close()


def check(scenario: Scenario, policy: Policy) -> None:
    PosSync().check(Checking(scenario.engine.targets, NOW), policy)


def test_with_the_index_in_both_applications_all_is_well(
    scenario: Scenario, kiosks: SqlTarget, policy: Policy
) -> None:
    assert kiosks is not None
    check(scenario, policy)
    scenario.shop.products.drop()
    with pytest.raises(ProductsNotUnique):
        check(scenario, policy)


def test_without_it_the_plan_fails_and_says_how_to_create_it(
    scenario: Scenario, kiosks: SqlTarget, policy: Policy
) -> None:
    assert kiosks is not None
    scenario.shop.products.drop_indexes()
    scenario.shop.products.create_index(["storeId", "externalId"])
    with pytest.raises(ProductsNotUnique, match="storeId") as caught:
        check(scenario, policy)
    assert str(caught.value).endswith("tend indexes create mongo/products.storeId,externalId")
    scenario.shop.products.drop_indexes()
    scenario.shop.products.create_index(["storeId", "externalId"], unique=True)
    check(scenario, policy)


def test_the_index_in_one_application_does_not_do_for_the_other(
    scenario: Scenario, kiosks: SqlTarget, policy: Policy, sqlite_shop_url: str
) -> None:
    with kiosks.transaction(60) as connection:
        connection.execute(text("DROP TABLE products"))
        connection.execute(
            text(
                "CREATE TABLE products (id integer PRIMARY KEY, store_id integer, external_id text)"
            )
        )
    with pytest.raises(ProductsNotUnique, match="store_id") as caught:
        check(scenario, policy)
    assert str(caught.value).endswith("tend indexes create sql/products.store_id,external_id")
    with SqlIndexes(sqlite_shop_url) as indexes:
        indexes.create("products", ("store_id", "external_id"), unique=True)
    check(scenario, policy)
