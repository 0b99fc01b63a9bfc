"""OrderNimbus' `products` in MongoDB, and beside them how far each pass is."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from bson import Decimal128, ObjectId
from pymongo import UpdateOne
from pymongo.client_session import ClientSession
from pymongo.database import Database

from jobs.pos_sync.passes import (
    MISSED_TWICE,
    Finished,
    Known,
    Overtaken,
    Pass,
    Vanishing,
    columns,
    moment_of,
    named,
    step,
)
from jobs.pos_sync.products import Drifted, Page, Product

PASSES = "tend_pos_passes"
RECORDS = "tend_pos_records"
QUARANTINE = "tend_pos_quarantine"
PREFIX = "mongo/"
Document = dict[str, Any]
Writing = Callable[[], AbstractContextManager[tuple[Database[Document], ClientSession]]]


class MongoCatalog:
    """`writing` opens a transaction on the primary that is committed at its end."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing

    def prepare(self) -> None:
        with self._writing() as (database, _):
            database[RECORDS].create_index([("store", 1), ("partOf", 1)])

    def standing(self, store: str) -> Pass | None:
        with self._writing() as (database, session):
            return standing(database, session, store)

    def begin(self, store: str, begun: Pass) -> Pass:
        with self._writing() as (database, session):
            place(database, session, store, begun)
        return begun

    def write(self, store: str, at: Pass, page: Page) -> Pass:
        further = at.after(page)
        with self._writing() as (database, session):
            move(database, session, store, at, further)
            found = step(page, _known(database, session, store, named(page)))
            _write_known(database, session, store, at.number, found.known)
            _write_products(database, session, store, found.write, at)
            set_aside(database, session, store, at, page.drifted)
        return further

    def restart(self, store: str, at: Pass) -> Pass:
        further = at.again()
        with self._writing() as (database, session):
            move(database, session, store, at, further)
            database[QUARANTINE].delete_many({"store": store}, session=session)
        return further

    def vanishing(self, store: str, at: Pass) -> Vanishing:
        with self._writing() as (database, session):
            gone, unseen, total = _vanishing(database, session, store, at)
        return Vanishing((*gone, *unseen), total)

    def finish(self, store: str, at: Pass, approved: str | None) -> Finished:
        with self._writing() as (database, session):
            gone, unseen, total = _vanishing(database, session, store, at)
            every = Vanishing((*gone, *unseen), total)
            every.check(approved)
            missed = _missed(database, session, store, at.number, unseen)
            due = every.external_ids if approved == every.digest else (*gone, *missed)
            deleted = database.products.delete_many(
                {"storeId": id_of(store), "externalId": {"$in": list(due)}}, session=session
            ).deleted_count
            move(database, session, store, at, at.ended())
        return Finished(deleted, 0)

    def tell(self, store: str, status: str, data_as_of: str | None) -> None:
        values: Document = {"status": status}
        if data_as_of is not None:
            values["dataAsOf"] = moment_of(data_as_of)
        with self._writing() as (database, session):
            database.stores.update_one({"_id": id_of(store)}, {"$set": values}, session=session)


def place(database: Database[Document], session: ClientSession, walk: str, begun: Pass) -> None:
    """Put a pass in the place of one that is at its end, or of none."""
    ended = {"_id": walk, "$or": [{"done": True}, {"exhausted": True}]}
    placed = database[PASSES].replace_one(ended, columns(begun), session=session)
    if placed.matched_count == 0:
        if standing(database, session, walk) is not None:
            raise _overtaken(walk)
        database[PASSES].insert_one({"_id": walk, **columns(begun)}, session=session)
    database[QUARANTINE].delete_many({"store": walk}, session=session)


def set_aside(
    database: Database[Document],
    session: ClientSession,
    walk: str,
    at: Pass,
    drifted: Sequence[Drifted],
) -> None:
    if drifted:
        rows = [{"store": walk, "page": at.pages, **one._asdict()} for one in drifted]
        database[QUARANTINE].insert_many(rows, session=session)


def _overtaken(store: str) -> Overtaken:
    return Overtaken(f"store {store} is in another worker's hands.")


def standing(database: Database[Document], session: ClientSession, store: str) -> Pass | None:
    found = database[PASSES].find_one({"_id": store}, {"_id": 0}, session=session)
    return None if found is None else Pass(**found)


def move(
    database: Database[Document], session: ClientSession, store: str, at: Pass, further: Pass
) -> None:
    """First of all, so that of two workers with one pass the later one changes nothing."""
    ours = {"number": at.number, "pages": at.pages, "restarts": at.restarts, "done": at.done}
    moved = database[PASSES].replace_one({"_id": store, **ours}, columns(further), session=session)
    if moved.matched_count != 1:
        raise _overtaken(store)


def _known(
    database: Database[Document], session: ClientSession, store: str, ids: Collection[str]
) -> dict[str, Known]:
    ours = {"_id": {"$in": [f"{store}/{one}" for one in ids]}}
    parts = {"store": store, "partOf": {"$in": list(ids)}}
    found = database[RECORDS].find({"$or": [ours, parts]}, session=session)
    return {one["externalId"]: Known(one["moment"], one["gone"], one["partOf"]) for one in found}


def _write_known(
    database: Database[Document],
    session: ClientSession,
    store: str,
    number: int,
    known: Mapping[str, Known],
) -> None:
    writes = [
        UpdateOne(
            {"_id": f"{store}/{external_id}"},
            {
                "$set": {
                    "store": store,
                    "externalId": external_id,
                    "moment": one.moment,
                    "gone": one.gone,
                    "partOf": one.part_of,
                    "seen": number,
                    "missed": 0,
                }
            },
            upsert=True,
        )
        for external_id, one in known.items()
    ]
    if writes:
        database[RECORDS].bulk_write(writes, session=session)


def _write_products(
    database: Database[Document],
    session: ClientSession,
    store: str,
    products: Sequence[Product],
    at: Pass,
) -> None:
    writes = [
        UpdateOne(
            {"storeId": id_of(store), "externalId": product.external_id},
            {"$set": _fields(product) | {"updatedAt": moment_of(at.begun_at)}},
            upsert=True,
        )
        for product in products
    ]
    if writes:
        database.products.bulk_write(writes, session=session)


def _fields(product: Product) -> Document:
    price = None if product.price is None else Decimal128(product.price)
    found = {"name": product.name, "sku": product.sku, "price": price, "currency": product.currency}
    return found if product.stock is None else {**found, "stock": product.stock}


def _vanishing(
    database: Database[Document], session: ClientSession, store: str, at: Pass
) -> tuple[list[str], list[str], int]:
    """The products that the provider deleted, those that a whole pass did not see, and all."""
    ours = {"storeId": id_of(store), "externalId": {"$type": "string"}}
    products = database.products.find(ours, {"externalId": 1}, session=session)
    there = sorted({str(one["externalId"]) for one in products})
    wanted = {"externalId": 1, "gone": 1, "seen": 1}
    found = database[RECORDS].find({"store": store}, wanted, session=session)
    known = {one["externalId"]: one for one in found}
    gone = [one for one in there if one in known and known[one]["gone"]]
    unseen: list[str] = []
    if at.shows_what_is_missing:
        unseen = [
            one
            for one in there
            if one not in known or (not known[one]["gone"] and known[one]["seen"] != at.number)
        ]
    return gone, unseen, len(there)


def _missed(
    database: Database[Document],
    session: ClientSession,
    store: str,
    number: int,
    unseen: Sequence[str],
) -> list[str]:
    """Count a whole pass that did not see them; answer with those that it was one too many for."""
    first = {"store": store, "moment": "", "gone": False, "partOf": None, "seen": number - 1}
    writes = [
        UpdateOne(
            {"_id": f"{store}/{one}"},
            {"$inc": {"missed": 1}, "$setOnInsert": {**first, "externalId": one}},
            upsert=True,
        )
        for one in unseen
    ]
    if not writes:
        return []
    database[RECORDS].bulk_write(writes, session=session)
    ours = {"$in": [f"{store}/{one}" for one in unseen]}
    due = {"_id": ours, "missed": {"$gte": MISSED_TWICE}}
    return [one["externalId"] for one in database[RECORDS].find(due, session=session)]


def id_of(store: str) -> Any:
    said = store.removeprefix(PREFIX)
    return ObjectId(said) if ObjectId.is_valid(said) else said
