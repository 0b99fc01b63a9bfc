"""Loads real retail transactions as OrderNimbus data, with the damage of `demo.damage` put in."""

import struct
from bisect import bisect_left
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from itertools import chain, count, islice
from random import Random
from typing import Any

import pyarrow as pa
from bson import ObjectId
from pymongo import IndexModel, WriteConcern
from pymongo.collection import Collection
from pymongo.database import Database
from pymongo.results import InsertManyResult

from demo.damage import KINDS, Count, Damage, share_out
from demo.records import Document, Records
from demo.retail import households_and_stores, milliseconds, products, transactions

SALES_KEPT = timedelta(days=7 * 365)
BATCH = 10_000
WRITERS = 2

# The collections that grow with the sales: one record per so many rows, but at least 20.
ROWS_PER = {"sessions": 20, "oauthstates": 200, "auditlogs": 50, "forecasts": 200, "users": 5_000}
VANISHED = 50

INDEXES = {
    "salesData": ("createdAt", "quantity", "revenue", "cost", "date", "userId"),
    "sessions": ("expiresAt", "isActive", "userId"),
    "oauthstates": ("timestamp",),
    "auditlogs": ("timestamp",),
    "forecasts": ("userId",),
    "users": ("deletedAt",),
    "stores": ("userId",),
}


def load(
    database: Database[Document],
    rows: int | None,
    now: datetime,
    seed: int = 7,
    progress: Callable[[int, int], None] = lambda _done, _total: None,
) -> Damage:
    """Fill an empty database with `rows` sales, evenly spread over nine years, or with all."""
    sales = transactions(rows, now)
    users, stores = ({n: _id(0, n) for n in numbers} for numbers in households_and_stores())
    random = Random(seed)
    damaged = _choose(random, len(sales))
    kinds = {name: share_out(name, max(20, len(sales) // per)) for name, per in ROWS_PER.items()}
    accounts = list(kinds["users"].elements())
    closed = [_id(1, number) for number in range(len(accounts))]
    gone = [key for key, kind in zip(closed, accounts, strict=True) if kind == "accounts_closed"]
    vanished = [_id(2, number) for number in range(VANISHED)]
    records = Records(random, now, list(users.values()), gone, vanished, list(stores.values()))
    collections: dict[str, Iterator[Document]] = {
        "salesData": _sales(sales, users, stores, damaged),
        "users": chain(
            (records.user(*user) for user in users.items()),
            map(records.closed_account, count(max(users) + 1), closed, accounts),
        ),
        "stores": (records.store(*store) for store in stores.items()),
        **{
            name: map(records.of_kind, counts.elements())
            for name, counts in kinds.items()
            if name != "users"
        },
    }
    around = sum(kinds.values(), Counter[str]())
    done, total = 0, len(sales) + len(users) + len(stores) + around.total()
    for name, documents in collections.items():
        for inserted in _insert(database[name], documents):
            done += inserted
            progress(done, total)
    for name, keys in INDEXES.items():
        # After the rows it takes one scan, and it waits for a majority, which covers the rows.
        database[name].create_indexes([IndexModel(key) for key in keys])
    database["sessions"].create_index("sessionId", unique=True)
    database["products"].create_index(["storeId", "externalId"], unique=True)
    first_young = bisect_left(sales["created"].to_pylist(), milliseconds(now - SALES_KEPT))
    return _damage(len(sales), first_young, damaged, around)


def _id(seconds: int, number: int) -> ObjectId:
    return ObjectId(struct.pack(">IQ", seconds, number))


def _choose(random: Random, rows: int) -> dict[int, str]:
    counts = share_out("salesData", rows)
    return dict(zip(random.sample(range(rows), counts.total()), counts.elements(), strict=True))


def _damage(
    rows: int, first_young: int, damaged: Mapping[int, str], around: Mapping[str, Any]
) -> Damage:
    total = Counter(damaged.values())
    young = Counter(kind for place, kind in damaged.items() if place >= first_young)
    counts: dict[str, Any] = {
        kind.name: Count(total[kind.name], young[kind.name]) for kind in KINDS["salesData"]
    }
    return Damage(sales=Count(rows, rows - first_young), **counts, **around)


def _sales(
    sales: pa.Table,
    users: Mapping[int, ObjectId],
    stores: Mapping[int, ObjectId],
    damaged: Mapping[int, str],
) -> Iterator[Document]:
    sold = products(sales["product"].unique())
    place = 0
    for batch in sales.to_batches(max_chunksize=BATCH):
        batch_rows = zip(*(column.to_pylist() for column in batch.columns), strict=True)
        for created, household, store, product, quantity, revenue, cost in batch_rows:
            moment = datetime.fromtimestamp(created / 1000, UTC)
            document = {
                "_id": _id(created // 1000, place),
                "userId": users[household],
                "storeId": stores[store],
                **sold[product],
                "quantity": quantity,
                "revenue": revenue,
                "cost": cost,
                "date": moment,
                "createdAt": moment,
            }
            if place in damaged:
                _hurt(document, damaged[place], place)
            yield document
            place += 1


def _hurt(document: Document, kind: str, place: int) -> None:
    if kind in {"negative_quantity", "negative_both", "refunds"}:
        document["quantity"] = -max(1, document["quantity"])
    if kind in {"negative_revenue", "negative_both", "refunds"}:
        document["revenue"] = -max(0.01, document["revenue"])
    if kind == "refunds":
        document["type"] = "return"
    if kind == "text_dates":
        document["date"] = document["date"].strftime(("%Y-%m-%d", "%Y-%m-%dT%H:%M:%SZ")[place % 2])
    if kind == "unreadable_dates":
        document["date"] = ("n/a", "yesterday", "31/31/2020")[place % 3]


def _insert(collection: Collection[Document], documents: Iterator[Document]) -> Iterator[int]:
    """Insert everything; yield the size of each batch that is in."""
    loading = collection.with_options(write_concern=WriteConcern(w=1, j=False))
    flying: deque[Future[InsertManyResult]] = deque()
    with ThreadPoolExecutor(WRITERS) as pool:
        while batch := list(islice(documents, BATCH)):
            flying.append(pool.submit(loading.insert_many, batch, ordered=False))
            if len(flying) > WRITERS:
                yield len(flying.popleft().result().inserted_ids)
        for last in flying:
            yield len(last.result().inserted_ids)
