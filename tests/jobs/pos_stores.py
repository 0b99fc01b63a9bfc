"""Stores for the shipped policies of `pos_sync`, in both applications."""

from datetime import timedelta
from typing import Any, cast

from sqlalchemy import text

from jobs.pos_sync import register
from jobs.pos_sync.stores import Store
from jobs.pos_sync.tables import PosStore
from tests.jobs.upset import Upset
from tests.worker.scenario import NOW, Scenario
from worker.targets.sql import SqlTarget

SHOPS: list[dict[str, Any]] = [
    {"_id": "s1", "name": "Tents", "platform": "shopify", "shopDomain": "tents.myshopify.com"},
    {"_id": "s2", "name": "Boots", "platform": "amazon", "shopDomain": "https://spapi.example.com"},
    {"_id": "s3", "name": "Uploads", "platform": "csv"},
]
TABLE = "CREATE TABLE stores (id integer PRIMARY KEY, name text, pos_provider text, pos_url text, \
status text, data_as_of text)"
PRODUCTS = "CREATE TABLE products (id integer PRIMARY KEY, store_id integer, external_id text, \
name text, price text, stock integer, updated_at timestamp, UNIQUE (store_id, external_id))"
KIOSKS = (
    "INSERT INTO stores (id, name, pos_provider, pos_url) VALUES"
    " (7, 'Camp', 'square', 'https://connect.squareup.com'), (8, 'No kiosk', NULL, NULL)"
)


def arrange(scenario: Scenario) -> None:
    """Three stores that have a provider and no credentials, so that a person is needed."""
    scenario.shop.stores.insert_many(SHOPS)
    scenario.shop.products.create_index(["storeId", "externalId"], unique=True)
    with cast(SqlTarget, scenario.engine.targets["sql"]).transaction(60) as connection:
        connection.execute(text(TABLE))
        connection.execute(text(PRODUCTS))
        connection.execute(text(KIOSKS))


def arrange_failed(scenario: Scenario) -> None:
    """Two of them failed a while ago."""
    arrange(scenario)
    with scenario.engine.database.transaction() as session:
        for one in SHOPS[:2]:
            store = Store(f"mongo/{one['_id']}", one["name"], one["platform"], one["shopDomain"])
            register.register(session, [store])
            session.flush()
            row = session.get_one(PosStore, store.key)
            row.condition, row.error, row.failures = "degraded", "timeout", 1
            row.next_at = NOW - timedelta(minutes=1)


UPSETS = {
    "pos-sync": Upset(arrange, 3, ("stores", "products")),
    "pos-sync-retry": Upset(arrange_failed, 2, ("stores", "products")),
}
