"""The tables of The Peak Beyond, in words that PostgreSQL and SQLite share, and their rows."""

from typing import Any

TABLES = (
    "CREATE TABLE stores (id integer PRIMARY KEY, name text NOT NULL, last_synced_at timestamp)",
    """CREATE TABLE products (
        id integer PRIMARY KEY, store_id integer, external_id varchar(64), name text NOT NULL,
        price numeric(10, 2), stock integer, updated_at timestamp NOT NULL
    )""",
    "CREATE INDEX products_store_id ON products (store_id)",
    "CREATE INDEX products_price ON products (price)",
    "CREATE INDEX products_stock ON products (stock)",
    "CREATE INDEX products_updated_at ON products (updated_at)",
    "CREATE TABLE order_items (id integer PRIMARY KEY, product_id integer REFERENCES products)",
)


def product(**fields: Any) -> dict[str, Any]:
    """One with nothing the matter with it, but for `fields`."""
    sound = {"store_id": 1, "name": "Tent", "price": "129.90", "stock": 3}
    return {**sound, "updated_at": "2026-11-21 18:30:00.123456", **fields}
