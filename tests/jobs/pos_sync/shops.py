"""A shop's database of each kind, as its application sees it."""

import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Protocol

from pymongo.client_session import ClientSession
from pymongo.database import Database
from sqlalchemy import Connection, text

from jobs.pos_sync.catalog_mongo import MongoCatalog
from jobs.pos_sync.catalog_sql import SqlCatalog
from jobs.pos_sync.passes import Catalog
from jobs.pos_sync.sales import Sales
from jobs.pos_sync.sales_mongo import MongoSales
from worker.targets.sql_server import SqlServer

TABLES = (
    """CREATE TABLE stores (id integer PRIMARY KEY, name text NOT NULL, pos_provider text,
        pos_url text, status text, data_as_of timestamp)""",
    """CREATE TABLE products (
        id {serial} PRIMARY KEY, store_id integer, external_id varchar(64), name text NOT NULL,
        price {price}, stock integer, updated_at timestamp NOT NULL)""",
    "CREATE UNIQUE INDEX products_of_store ON products (store_id, external_id)",
    "CREATE TABLE order_items (id integer PRIMARY KEY, product_id integer REFERENCES products)",
)
Prices = Mapping[str, Decimal | None]


class Shop(Protocol):
    """What a test asks of an application's database, whichever kind it is."""

    key: str
    catalog: Catalog
    sales: Sales | None
    """Where it keeps what was sold, if it does."""

    def open_store(self, provider: str, address: str, key: str) -> None:
        """What the application declares."""

    def prices(self) -> Prices:
        """The price of each product of the store, by its id at the provider."""

    def stock(self, external_id: str) -> int | None:
        """What the application has of it."""

    def add(self, external_id: str) -> None:
        """A product that was there before the first sync."""

    def told(self) -> tuple[Any, Any]:
        """What the application's own row says: the status, and whether it has a date."""


@dataclass
class SqlShop:
    server: SqlServer
    key: str = "sql/1"
    is_new: bool = True
    sales: Sales | None = None

    def __post_init__(self) -> None:
        self.catalog: Catalog = SqlCatalog(self.writing)
        if not self.is_new:
            return
        is_sqlite = self.server.dialect == "sqlite"
        kinds = {
            "serial": "integer" if is_sqlite else "serial",
            "price": "text" if is_sqlite else "numeric(12, 4)",
        }
        with self.writing() as connection:
            for table in TABLES:
                connection.execute(text(table.format(**kinds)))
        self.catalog.prepare()

    @contextmanager
    def writing(self) -> Iterator[Connection]:
        with self.server.writing("the shop", time.monotonic() + 60) as transaction:
            yield transaction.connection

    def open_store(self, provider: str, address: str, key: str) -> None:
        self._do(
            "INSERT INTO stores (id, name, pos_provider, pos_url) VALUES (:id, :name, :of, :at)",
            id=int(key.removeprefix("sql/")),
            name=f"Camp {key.removeprefix('sql/')}",
            of=provider,
            at=address,
        )

    def prices(self) -> Prices:
        rows = self._do("SELECT external_id, price FROM products WHERE store_id = 1")
        return {row[0]: None if row[1] is None else Decimal(row[1]) for row in rows}

    def stock(self, external_id: str) -> int | None:
        query = "SELECT stock FROM products WHERE store_id = 1 AND external_id = :of"
        found: int | None = self._do(query, of=external_id)[0][0]
        return found

    def add(self, external_id: str) -> None:
        self._do(
            "INSERT INTO products (store_id, external_id, name, updated_at)"
            " VALUES (1, :of, 'old', '2026-01-01 00:00:00')",
            of=external_id,
        )

    def order(self, external_id: str) -> None:
        """Somebody ordered it, so that a row refers to it."""
        self._do(
            "INSERT INTO order_items SELECT id, id FROM products WHERE external_id = :of",
            of=external_id,
        )

    def told(self) -> tuple[Any, Any]:
        row = self._do("SELECT status, data_as_of FROM stores WHERE id = 1")[0]
        return row[0], row[1] is not None

    def _do(self, statement: str, **values: Any) -> list[Any]:
        with self.writing() as connection:
            result = connection.execute(text(statement), values)
            return list(result) if result.returns_rows else []


@dataclass
class MongoShop:
    database: Database[dict[str, Any]]
    key: str = "mongo/1"

    def __post_init__(self) -> None:
        self.database.products.create_index(["storeId", "externalId"], unique=True)
        self.catalog: Catalog = MongoCatalog(self.writing)
        self.sales: Sales | None = MongoSales(self.writing)
        self.catalog.prepare()

    @contextmanager
    def writing(self) -> Iterator[tuple[Database[dict[str, Any]], ClientSession]]:
        with self.database.client.start_session() as session, session.start_transaction():
            yield self.database, session

    def open_store(self, provider: str, address: str, key: str) -> None:
        of = key.removeprefix("mongo/")
        row = {"_id": of, "name": f"Camp {of}", "platform": provider, "shopDomain": address}
        self.database.stores.insert_one(row)

    def prices(self) -> Prices:
        return {
            one["externalId"]: one["price"].to_decimal() if one.get("price") else None
            for one in self.database.products.find({"storeId": "1"})
        }

    def stock(self, external_id: str) -> int | None:
        row = self.database.products.find_one({"storeId": "1", "externalId": external_id})
        return (row or {}).get("stock")

    def add(self, external_id: str) -> None:
        self.database.products.insert_one({"storeId": "1", "externalId": external_id})

    def told(self) -> tuple[Any, Any]:
        row = self.database.stores.find_one({"_id": "1"}) or {}
        return row.get("status"), "dataAsOf" in row
