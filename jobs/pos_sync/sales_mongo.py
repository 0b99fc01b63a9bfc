"""OrderNimbus' `salesData`: a record for each line of an order, by the provider's own id of it."""

from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from bson import Decimal128
from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database

from jobs.moments import milliseconds
from jobs.pos_sync.catalog_mongo import id_of, move, place, set_aside, standing
from jobs.pos_sync.passes import Pass, moment_of
from jobs.pos_sync.sales import Sale, SalesPage

SALES = "salesData"
Document = dict[str, Any]
Writing = Callable[[], AbstractContextManager[tuple[Database[Document], ClientSession]]]


class MongoSales:
    """`writing` opens a transaction on the primary that is committed at its end."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing

    def has_owner(self, store: str) -> bool:
        with self._writing() as (database, session):
            return _owner(database, session, store) is not None

    def standing(self, store: str) -> Pass | None:
        with self._writing() as (database, session):
            return standing(database, session, _walk_of(store))

    def begin(self, store: str, begun: Pass) -> Pass:
        with self._writing() as (database, session):
            place(database, session, _walk_of(store), begun)
        return begun

    def write(self, store: str, at: Pass, page: SalesPage) -> Pass:
        further = at.after(page)
        with self._writing() as (database, session):
            move(database, session, _walk_of(store), at, further)
            newest = _newest(store, page.sales)
            known = _known(database, session, newest)
            ours = {"userId": _owner(database, session, store), "storeId": id_of(store)}
            writes = [
                _write(key, {**ours, **_fields(sale)}, moment_of(at.begun_at))
                for key, sale in newest.items()
                if key not in known or known[key] <= milliseconds(sale.moment)
            ]
            if writes:
                database[SALES].bulk_write(writes, session=session)
            set_aside(database, session, _walk_of(store), at, page.drifted)
        return further

    def restart(self, store: str, at: Pass) -> Pass:
        further = at.again()
        with self._writing() as (database, session):
            move(database, session, _walk_of(store), at, further)
        return further

    def finish(self, store: str, at: Pass) -> None:
        with self._writing() as (database, session):
            move(database, session, _walk_of(store), at, at.ended())


def _walk_of(store: str) -> str:
    """Its passes lie beside those over its products."""
    return f"{store}/sales"


def _owner(database: Database[Document], session: ClientSession, store: str) -> Any:
    found = database.stores.find_one({"_id": id_of(store)}, {"userId": 1}, session=session)
    return (found or {}).get("userId")


def _newest(store: str, sales: Iterable[Sale]) -> dict[str, Sale]:
    """Of versions of one line on one page the newest, by the record's own key."""
    found: dict[str, Sale] = {}
    for sale in sales:
        key = f"{store}/{sale.line}"
        if key not in found or found[key].moment <= sale.moment:
            found[key] = sale
    return found


def _known(
    database: Database[Document], session: ClientSession, keys: Iterable[str]
) -> dict[str, datetime]:
    """When the provider had changed what stands there already."""
    ours = {"_id": {"$in": list(keys)}}
    found = database[SALES].find(ours, {"sourceUpdatedAt": 1}, session=session)
    return {one["_id"]: one["sourceUpdatedAt"] for one in found}


def _write(key: str, fields: Document, first_seen: datetime) -> UpdateOne:
    change = {"$set": fields, "$setOnInsert": {"createdAt": first_seen}}
    return UpdateOne({"_id": key}, change, upsert=True)


def _fields(sale: Sale) -> Document:
    return {
        "orderId": sale.order,
        "productId": sale.product,
        "productName": sale.name,
        "sku": sale.sku,
        "quantity": sale.quantity,
        "revenue": Decimal128(sale.revenue),
        "currency": sale.currency,
        "date": sale.sold_at,
        "sourceUpdatedAt": milliseconds(sale.moment),
    }
