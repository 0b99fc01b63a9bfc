"""The Peak Beyond's `products` in SQL, and beside them how far each pass is."""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    Connection,
    MetaData,
    Table,
    Text,
    bindparam,
    column,
    delete,
    func,
    insert,
    inspect,
    select,
    table,
    update,
)
from sqlalchemy.exc import IntegrityError

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
from jobs.pos_sync.products import Page, Product

_OWN = MetaData()
PASSES = Table(
    "tend_pos_passes",
    _OWN,
    Column("store", Text, primary_key=True),
    *(Column(name, BigInteger) for name in ("number", "pages", "records", "drifted", "restarts")),
    *(Column(name, Text) for name in ("since", "cursor", "begun_at", "newest")),
    Column("exhausted", Boolean),
    Column("done", Boolean),
    *(Column(name, Text) for name in ("complete_at", "whole_at")),
)
RECORDS = Table(
    "tend_pos_records",
    _OWN,
    Column("store", Text, primary_key=True),
    Column("external_id", Text, primary_key=True),
    Column("part_of", Text),
    Column("moment", Text, nullable=False),
    Column("gone", Boolean, nullable=False),
    Column("seen", BigInteger, nullable=False),
    Column("missed", BigInteger, nullable=False),
)
QUARANTINE = Table(
    "tend_pos_quarantine",
    _OWN,
    Column("store", Text, primary_key=True),
    Column("page", BigInteger, primary_key=True),
    Column("number", BigInteger, primary_key=True),
    Column("differs", Text, nullable=False),
    Column("record", Text, nullable=False),
)
_PRODUCTS = table(
    "products",
    *map(column, ("store_id", "external_id", "name", "price", "stock", "updated_at")),
)
_STORES = table("stores", *map(column, ("id", "status", "data_as_of")))
PREFIX = "sql/"
_LOCK = 7_303_014
"""Any number will do that is nobody else's."""
Writing = Callable[[], AbstractContextManager[Connection]]


class SqlCatalog:
    """`writing` opens a transaction on the primary that is committed at its end."""

    def __init__(self, writing: Writing) -> None:
        self._writing = writing

    def prepare(self) -> None:
        with self._writing() as connection:
            if inspect(connection).has_table(QUARANTINE.name):
                return
            if connection.dialect.name == "postgresql":  # two at once would be an error there
                connection.execute(select(func.pg_advisory_xact_lock(_LOCK)))
            _OWN.create_all(connection)

    def standing(self, store: str) -> Pass | None:
        with self._writing() as connection:
            return _standing(connection, store)

    def begin(self, store: str, begun: Pass) -> Pass:
        with self._writing() as connection:
            ours = PASSES.c.store == store
            row = columns(begun)
            ended = PASSES.c.done | PASSES.c.exhausted
            placed = connection.execute(update(PASSES).where(ours, ended).values(row))
            if placed.rowcount == 0:
                if _standing(connection, store) is not None:
                    raise Overtaken(f"store {store} is in another worker's hands.")
                connection.execute(insert(PASSES).values(store=store, **row))
            connection.execute(delete(QUARANTINE).where(QUARANTINE.c.store == store))
        return begun

    def write(self, store: str, at: Pass, page: Page) -> Pass:
        further = at.after(page)
        with self._writing() as connection:
            _move(connection, store, at, further)
            known = _known(connection, store, named(page))
            found = step(page, known)
            _write_known(connection, store, at.number, known, found.known)
            _write_products(connection, store, found.write, moment_of(at.begun_at))
            if page.drifted:
                rows = [{"store": store, "page": at.pages, **one._asdict()} for one in page.drifted]
                connection.execute(insert(QUARANTINE), rows)
        return further

    def restart(self, store: str, at: Pass) -> Pass:
        further = at.again()
        with self._writing() as connection:
            _move(connection, store, at, further)
            connection.execute(delete(QUARANTINE).where(QUARANTINE.c.store == store))
        return further

    def vanishing(self, store: str, at: Pass) -> Vanishing:
        with self._writing() as connection:
            gone, unseen, total = _vanishing(connection, store, at)
        return Vanishing((*gone, *unseen), total)

    def finish(self, store: str, at: Pass, approved: str | None) -> Finished:
        with self._writing() as connection:
            gone, unseen, total = _vanishing(connection, store, at)
            every = Vanishing((*gone, *unseen), total)
            every.check(approved)
            due = every.external_ids if approved == every.digest else gone
            if due is gone:
                due = (*gone, *_missed(connection, store, at.number, unseen))
            kept = sum(not _delete(connection, store, external_id) for external_id in due)
            _move(connection, store, at, at.ended())
        return Finished(len(due) - kept, kept)

    def tell(self, store: str, status: str, data_as_of: str | None) -> None:
        values: dict[str, Any] = {"status": status}
        with self._writing() as connection:
            if data_as_of is not None:
                values["data_as_of"] = _date(connection, moment_of(data_as_of))
            ours = _STORES.c.id == _id(store)
            connection.execute(update(_STORES).where(ours).values(values))


def _standing(connection: Connection, store: str) -> Pass | None:
    row = connection.execute(select(PASSES).where(PASSES.c.store == store)).mappings().one_or_none()
    if row is None:
        return None
    return Pass(**{name: value for name, value in row.items() if name != "store"})


def _move(connection: Connection, store: str, at: Pass, further: Pass) -> None:
    """First of all, so that of two workers with one pass the later one changes nothing."""
    moved = connection.execute(
        update(PASSES)
        .where(
            PASSES.c.store == store,
            PASSES.c.number == at.number,
            PASSES.c.pages == at.pages,
            PASSES.c.restarts == at.restarts,
            PASSES.c.done == at.done,
        )
        .values(columns(further))
    )
    if moved.rowcount != 1:
        raise Overtaken(f"store {store} is in another worker's hands.")


def _known(connection: Connection, store: str, ids: Collection[str]) -> dict[str, Known]:
    if not ids:
        return {}
    meant = RECORDS.c.external_id.in_(ids) | RECORDS.c.part_of.in_(ids)
    found = connection.execute(select(RECORDS).where(RECORDS.c.store == store, meant)).mappings()
    return {row["external_id"]: Known(row["moment"], row["gone"], row["part_of"]) for row in found}


def _write_known(
    connection: Connection,
    store: str,
    number: int,
    before: Mapping[str, Known],
    after: Mapping[str, Known],
) -> None:
    rows = [
        {"of": external_id, **one._asdict(), "seen": number, "missed": 0}
        for external_id, one in after.items()
    ]
    known = [row for row in rows if row["of"] in before]
    fresh = [row for row in rows if row["of"] not in before]
    if known:
        ours = (RECORDS.c.store == store) & (RECORDS.c.external_id == bindparam("of"))
        connection.execute(update(RECORDS).where(ours), known)
    if fresh:
        made = [{**row, "store": store, "external_id": row.pop("of")} for row in fresh]
        connection.execute(insert(RECORDS), made)


def _write_products(
    connection: Connection, store: str, products: Sequence[Product], moment: datetime
) -> None:
    if not products:
        return
    ids = [one.external_id for one in products]
    ours = (_PRODUCTS.c.store_id == _id(store)) & _PRODUCTS.c.external_id.in_(ids)
    there = set(connection.scalars(select(_PRODUCTS.c.external_id).where(ours)))
    for product in products:
        values: dict[str, Any] = {
            "name": product.name,
            "price": _number(connection, product),
            "updated_at": _date(connection, moment),
        }
        if product.stock is not None:
            values["stock"] = product.stock
        if product.external_id in there:
            one = _this(store, product.external_id)
            connection.execute(update(_PRODUCTS).where(one).values(values))
        else:
            keys = {"store_id": _id(store), "external_id": product.external_id}
            connection.execute(insert(_PRODUCTS).values(values | keys))


def _vanishing(
    connection: Connection, store: str, at: Pass
) -> tuple[tuple[str, ...], tuple[str, ...], int]:
    """The products that the provider deleted, those that a whole pass did not see, and all."""
    theirs = (RECORDS.c.store == store) & (RECORDS.c.external_id == _PRODUCTS.c.external_id)
    ours = (_PRODUCTS.c.store_id == _id(store)) & _PRODUCTS.c.external_id.is_not(None)
    query = (
        select(_PRODUCTS.c.external_id, RECORDS.c.gone, RECORDS.c.seen)
        .select_from(_PRODUCTS.outerjoin(RECORDS, theirs))
        .where(ours)
        .order_by(_PRODUCTS.c.external_id)
    )
    gone: list[str] = []
    unseen: list[str] = []
    total = 0
    for external_id, is_gone, seen in connection.execute(query):
        total += 1
        if is_gone:
            gone.append(external_id)
        elif at.shows_what_is_missing and seen != at.number:
            unseen.append(external_id)
    return tuple(gone), tuple(unseen), total


def _missed(connection: Connection, store: str, number: int, unseen: Sequence[str]) -> list[str]:
    """Count a whole pass that did not see them; answer with those that it was one too many for."""
    known = _known(connection, store, unseen)
    fresh = [
        {"store": store, "external_id": one, "moment": "", "gone": False, "seen": number - 1}
        for one in unseen
        if one not in known
    ]
    if fresh:
        connection.execute(
            insert(RECORDS), [{**row, "part_of": None, "missed": 0} for row in fresh]
        )
    if not unseen:
        return []
    ours = (RECORDS.c.store == store) & RECORDS.c.external_id.in_(unseen)
    connection.execute(update(RECORDS).where(ours).values(missed=RECORDS.c.missed + 1))
    due = select(RECORDS.c.external_id).where(ours, RECORDS.c.missed >= MISSED_TWICE)
    return list(connection.scalars(due))


def _delete(connection: Connection, store: str, external_id: str) -> bool:
    """Whether it could go: what an order or a kiosk refers to stays."""
    try:
        with connection.begin_nested():
            connection.execute(delete(_PRODUCTS).where(_this(store, external_id)))
    except IntegrityError:
        return False
    return True


def _this(store: str, external_id: str) -> Any:
    return (_PRODUCTS.c.store_id == _id(store)) & (_PRODUCTS.c.external_id == external_id)


def _id(store: str) -> int | str:
    said = store.removeprefix(PREFIX)
    return int(said) if said.isdecimal() else said


def _number(connection: Connection, product: Product) -> Any:
    """SQLite has no decimals: there the digits are stored as they are written."""
    if product.price is None or connection.dialect.name == "postgresql":
        return product.price
    return str(product.price)


def _date(connection: Connection, moment: datetime) -> Any:
    if connection.dialect.name == "postgresql":
        return moment
    return f"{moment:%Y-%m-%d %H:%M:%S.%f}"
