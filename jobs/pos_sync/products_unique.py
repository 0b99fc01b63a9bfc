"""The unique index of `products`, without which two workers could write one product twice."""

from collections.abc import Collection, Iterable

from sqlalchemy import Connection, inspect

from jobs.pos_sync import catalog_mongo, catalog_sql
from jobs.pos_sync.stores import Store
from jobs.task import CheckContext
from policies.errors import TendError

_MONGO = ("storeId", "externalId")
_SQL = ("store_id", "external_id")


class ProductsNotUnique(TendError):
    """No unique index sees to it that a product is there once."""

    code = "products_not_unique"


def check(ctx: CheckContext, stores: Iterable[Store]) -> None:
    """Raise unless the application of each of these stores has the index."""
    kinds = {store.key.partition("/")[0] + "/" for store in stores}
    if catalog_sql.PREFIX in kinds:
        with ctx.sql() as connection:
            _must_be("sql", _SQL, _unique_in_sql(connection))
    if catalog_mongo.PREFIX in kinds:
        _must_be("mongo", _MONGO, ctx.documents.unique("products"))


def _must_be(kind: str, fields: tuple[str, ...], found: Iterable[Collection[str]]) -> None:
    if not any(set(each) == set(fields) for each in found):
        raise ProductsNotUnique(
            f"products has no unique index on {' and '.join(fields)}, so two workers could write "
            f"one product twice; nothing is synced before it is there. Create it: "
            f"tend indexes create {kind}/products.{','.join(fields)}"
        )


def _unique_in_sql(connection: Connection) -> list[Collection[str]]:
    catalog = inspect(connection)
    if not catalog.has_table("products"):
        return []
    indexes = [
        [str(name) for name in one["column_names"]]
        for one in catalog.get_indexes("products")
        if one["unique"]
    ]
    constraints = [one["column_names"] for one in catalog.get_unique_constraints("products")]
    key = catalog.get_pk_constraint("products")["constrained_columns"]
    return [*indexes, *constraints, key]
