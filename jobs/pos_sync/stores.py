"""Which stores there are: what the applications say in their own `stores`."""

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection, column, select, table

from jobs.pos_sync import catalog_mongo, catalog_sql
from jobs.pos_sync.connectors import CONNECTORS
from jobs.task import Documents

_STORES = table("stores", *map(column, ("id", "name", "pos_provider", "pos_url")))


class Store(NamedTuple):
    """One store as its application declares it."""

    key: str
    name: str
    provider: str
    address: str


def sql_stores(connection: Connection) -> Iterator[Store]:
    """The Peak Beyond: `pos_provider` and `pos_url`."""
    ours = _STORES.c.pos_provider.in_(CONNECTORS)
    columns = (_STORES.c.id, _STORES.c.name, _STORES.c.pos_provider, _STORES.c.pos_url)
    for key, name, provider, url in connection.execute(select(*columns).where(ours)):
        yield Store(f"{catalog_sql.PREFIX}{key}", str(name), provider, url or "")


def mongo_stores(documents: Documents) -> Iterator[Store]:
    """OrderNimbus: `platform` and `shopDomain`; a store that uploads `csv` is nobody's to sync."""
    ours = {"platform": {"$in": list(CONNECTORS)}}
    for one in documents.find("stores", ours, ["name", "platform", "shopDomain"]):
        domain = str(one.get("shopDomain") or "")
        key = f"{catalog_mongo.PREFIX}{one['_id']}"
        yield Store(key, str(one.get("name") or domain or one["_id"]), one["platform"], domain)
