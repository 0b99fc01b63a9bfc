"""The products of a kiosk in SQLite, as The Peak Beyond keeps them, with some damage."""

import sqlite3
from collections.abc import Mapping
from contextlib import closing
from datetime import datetime, timedelta
from pathlib import Path
from types import MappingProxyType

PRODUCTS = 5_000
STORES = 20
DAMAGED = 50
"""One in so many has a stock below zero, and one in so many belongs to a store that is gone."""

_TABLES = """
    CREATE TABLE stores (id INTEGER PRIMARY KEY, name TEXT NOT NULL, status TEXT NOT NULL);
    CREATE TABLE products (
        id INTEGER PRIMARY KEY, store_id INTEGER, external_id TEXT NOT NULL, name TEXT NOT NULL,
        price NUMERIC, stock INTEGER, updated_at TIMESTAMP NOT NULL
    );
    CREATE INDEX products_store_id ON products (store_id);
    CREATE INDEX products_stock ON products (stock);
"""

# What a person would ask the database, written without Tend.
QUERIES: Mapping[str, str] = MappingProxyType(
    {
        "negative-stock": "SELECT count(*) FROM products WHERE stock < 0",
        "orphaned-products": (
            "SELECT count(*) FROM products p LEFT JOIN stores s ON s.id = p.store_id "
            "WHERE s.id IS NULL"
        ),
    }
)


def make(path: Path, now: datetime) -> None:
    """Make the shop; the store that is gone has the number after the last."""
    with closing(sqlite3.connect(path)) as shop, shop:
        shop.executescript(_TABLES)
        shop.executemany(
            "INSERT INTO stores VALUES (?, ?, 'online')",
            [(number, f"Kiosk {number}") for number in range(1, STORES + 1)],
        )
        updated = (now - timedelta(days=3)).strftime("%Y-%m-%d %H:%M:%S")
        shop.executemany(
            "INSERT INTO products VALUES (?, ?, ?, ?, ?, ?, ?)",
            [(*_product(number), updated) for number in range(PRODUCTS)],
        )


def find(path: Path, policy: str) -> int:
    """How many records a plain query finds of what this policy is after."""
    with closing(sqlite3.connect(path)) as shop:
        found: int = shop.execute(QUERIES[policy]).fetchone()[0]
        return found


def _product(number: int) -> tuple[int, int, str, str, str, int]:
    store = STORES + 1 if number % DAMAGED == 7 else 1 + number % STORES
    stock = -(number % 5) - 1 if number % DAMAGED == 11 else number % 40
    return number, store, f"pos-{number}", f"Product {number}", f"{number % 90 + 1}.50", stock
