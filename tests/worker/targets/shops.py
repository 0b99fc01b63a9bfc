"""The products of a shop in each kind of database, as its application writes and reads them."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import chain, count
from typing import Any, Protocol

from pydantic import TypeAdapter
from pymongo.database import Database
from sqlalchemy import (
    BigInteger,
    Boolean,
    Column,
    DateTime,
    Double,
    Engine,
    Integer,
    MetaData,
    Table,
    Text,
    delete,
    insert,
    select,
    text,
    update,
)

from jobs.base import Batch as JobBatch
from jobs.base import Decide, Delete, Item, Outcomes, Record, Update
from policies.selectors import Selector
from tests.worker.scenario import NOW
from worker.archive import ArchiveStore
from worker.keys import RunKey
from worker.targets.base import Archive, Batch, BatchRecord, Images, RecordOutcome, Target
from worker.targets.quarantine import Origin

Row = dict[str, Any]
INDEXED = ("stock", "updated", "active", "name")
AMPLE = 16_000_000

PRODUCTS = Table(
    "products",
    MetaData(),
    Column("id", BigInteger, primary_key=True),
    Column("sku", Text, unique=True),
    Column("name", Text, index=True),
    Column("stock", Integer, index=True),
    Column("price", Double),
    Column("updated", DateTime(timezone=True), index=True),
    Column("active", Boolean, index=True),
)


class Shop(Protocol):
    """What a test does as the application, by the product's number."""

    target: Target

    def add(self, *rows: Row) -> None: ...

    def edit(self, number: int, **fields: Any) -> None: ...

    def remove(self, number: int) -> None: ...

    def products(self) -> dict[int, Row]:
        """Every product without its empty fields."""

    def fences(self) -> int:
        """How many fences the target keeps."""


@dataclass
class MongoShop:
    target: Target
    database: Database[dict[str, Any]]

    def __post_init__(self) -> None:
        for name in INDEXED:
            self.database.products.create_index(name)
        self.database.products.create_index("sku", unique=True, sparse=True)

    def add(self, *rows: Row) -> None:
        self.database.products.insert_many(
            [{"_id": row["id"], **{k: v for k, v in row.items() if k != "id"}} for row in rows]
        )

    def edit(self, number: int, **fields: Any) -> None:
        self.database.products.update_one({"_id": number}, {"$set": fields})

    def remove(self, number: int) -> None:
        self.database.products.delete_one({"_id": number})

    def products(self) -> dict[int, Row]:
        found = self.database.products.find()
        return {
            row["_id"]: {k: v for k, v in row.items() if k != "_id" and v is not None}
            for row in found
        }

    def fences(self) -> int:
        return self.database.tend_fences.count_documents({})


@dataclass
class SqlShop:
    target: Target
    engine: Engine

    def __post_init__(self) -> None:
        PRODUCTS.metadata.create_all(self.engine)

    def add(self, *rows: Row) -> None:
        with self.engine.begin() as connection:
            for row in rows:
                connection.execute(insert(PRODUCTS).values(row))

    def edit(self, number: int, **fields: Any) -> None:
        with self.engine.begin() as connection:
            connection.execute(update(PRODUCTS).where(PRODUCTS.c.id == number).values(fields))

    def remove(self, number: int) -> None:
        with self.engine.begin() as connection:
            connection.execute(delete(PRODUCTS).where(PRODUCTS.c.id == number))

    def products(self) -> dict[int, Row]:
        with self.engine.connect() as connection:
            found = [dict(row) for row in connection.execute(select(PRODUCTS)).mappings()]
        return {
            row.pop("id"): {k: _zoned(v) for k, v in row.items() if v is not None} for row in found
        }

    def fences(self) -> int:
        with self.engine.connect() as connection:
            return int(connection.execute(text("SELECT count(*) FROM tend_fences")).scalar_one())


def _zoned(value: Any) -> Any:
    """SQLite keeps no zone."""
    if isinstance(value, datetime):
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    return value


@dataclass
class Hand:
    """What the engine does with a target, in one line each."""

    target: Target
    store: ArchiveStore
    collection: str = "products"
    origin: Origin | None = None
    key: RunKey = field(default_factory=RunKey.new)
    serial: Any = field(default_factory=count)

    def archive(self, images: Images) -> Any:
        return self.store.write(self.key, f"run/{next(self.serial)}", images)

    def select(self, selector: Selector, *fields: str, scan: bool = False) -> list[Item]:
        reader = self.target.reader(self.collection, NOW, scan=scan)
        return list(chain.from_iterable(reader.select(selector, fields)))

    def keys(self, selector: Selector, *, scan: bool = False) -> list[Any]:
        return sorted(item.key for item in self.select(selector, scan=scan))

    def fence(self, name: str = "run/apply/0", *, size: int = AMPLE, archive: Any = None) -> Any:
        write: Archive = archive or self.archive
        return self.target.fence(name, self.collection, NOW, size, write, self.origin)

    def change(
        self,
        keys: list[Any],
        selector: Selector,
        decide: Decide,
        *,
        name: str = "run/apply/0",
        size: int = AMPLE,
        archive: Any = None,
    ) -> BatchRecord:
        """One batch over these keys, by a first attempt."""
        with self.fence(name, size=size, archive=archive) as fence:
            fence.take(1)
            done: BatchRecord = fence.batch(0, (0, len(keys)), work(keys, selector, decide))
        return done

    def undo(self, done: BatchRecord, name: str = "run/undo/0") -> BatchRecord:
        """Take a batch back; what a preview says just before is what happens."""
        records = [record for record in self.archived(done) if record.outcome == "changed"]
        preview = self.preview(done)

        def restore(batch: Batch) -> Outcomes:
            return batch.restore(records)

        with self.fence(name) as fence:
            fence.take(1)
            undone: BatchRecord = fence.batch(0, (0, 1), restore)
        assert self.told(undone) == preview
        return undone

    def preview(self, *batches: BatchRecord) -> dict[Any, tuple[str, str | None]]:
        """What an undo would do with these batches, one after the other, and why."""
        judge = self.target.judge(self.collection, NOW)
        told: dict[Any, tuple[str, str | None]] = {}
        for done in batches:
            changed = [record for record in self.archived(done) if record.outcome == "changed"]
            told |= {
                tuple(one.key) if isinstance(one.key, list) else one.key: (one.outcome, one.code)
                for one in judge.judge(changed)
            }
        return told

    def archived(self, done: BatchRecord) -> list[RecordOutcome]:
        return list(self.store.read(self.key, done.archive))

    def told(self, done: BatchRecord) -> dict[Any, tuple[str, str | None]]:
        """What the archive says became of each record."""
        return {
            tuple(record.key) if isinstance(record.key, list) else record.key: (
                record.outcome,
                record.code,
            )
            for record in self.archived(done)
        }


_SELECTOR: TypeAdapter[Selector] = TypeAdapter(Selector)


def words(**written: Any) -> Selector:
    """A selector, in the words of a policy."""
    return _SELECTOR.validate_python(written)


def work(keys: list[Any], selector: Selector, decide: Decide) -> Any:
    def change(batch: JobBatch) -> Outcomes:
        return batch.change([Item(key, {}) for key in keys], selector, decide)

    return change


def deletes(_record: Record) -> Delete:
    return Delete()


def writes(**fields: Any) -> Decide:
    def decide(_record: Record) -> Update:
        return Update(fields)

    return decide


def without(rows: Mapping[int, Row], *numbers: int) -> dict[int, Row]:
    return {number: row for number, row in rows.items() if number not in numbers}


STOCK = (
    "CREATE TABLE products (id int PRIMARY KEY, stock int)",
    "INSERT INTO products VALUES (1, -1), (2, -2)",
    "CREATE INDEX stock ON products (stock)",
)


def left(site: "Site") -> list[int]:
    """The keys of its products."""
    return [key for (key,) in site.rows("SELECT id FROM products ORDER BY id")]


@dataclass
class Site:
    """A SQL database whose tables a test makes itself."""

    url: str
    target: Target
    engine: Engine
    hand: Hand

    @property
    def dialect(self) -> str:
        return self.engine.dialect.name

    def run(self, *statements: str) -> None:
        with self.engine.begin() as connection:
            for statement in statements:
                connection.execute(text(statement.replace(":", r"\:")))

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with self.engine.connect() as connection:
            return [tuple(row) for row in connection.exec_driver_sql(query)]

    def of(self, table: str) -> Hand:
        """The engine's hand on one table."""
        self.hand.collection = table
        return self.hand
