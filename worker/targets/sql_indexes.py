"""The indexes of a SQL database: which there are, how large, and making one more.

PostgreSQL builds them CONCURRENTLY, outside any transaction, and a build that fails leaves an
invalid index; SQLite builds them in one transaction, during which nobody else writes.
"""

import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from sqlalchemy import ColumnElement, LargeBinary, cast, func, select, text
from sqlalchemy.exc import IntegrityError

from worker.errors import DeadlineExceeded, TargetError
from worker.targets.indexes import Index, IndexNotBuilt, RecordsRepeated
from worker.targets.sql_catalog import look_up, named, parts
from worker.targets.sql_count import count_quickly
from worker.targets.sql_server import SqlServer, Transaction
from worker.targets.sql_table import SqlTable, quoted

SECONDS = 10
BUILD_SECONDS = 24 * 3600
SAMPLE = 100
NAME_LENGTH = 63
_OVERHEAD = {"postgresql": 16, "sqlite": 8}
"""Bytes of an entry beside its values."""
_ROW = {"postgresql": 8, "sqlite": 1}
"""What the size of an entry is a multiple of."""
_FILLED = 0.9
"""The part of a page that a build fills."""
ROWID = "rowid"

_INDEXES = {
    "postgresql": text("""
        SELECT n.nspname AS schema, c.relname AS collection, pg_table_is_visible(c.oid) AS visible,
            i.relname AS name, pg_relation_size(i.oid) AS size,
            x.indpred IS NULL AND m.amname = 'btree' AS is_whole, x.indisvalid AS is_valid,
            x.indisunique AS is_unique,
            EXISTS (
                SELECT FROM pg_stat_progress_create_index p
                WHERE p.datname = current_database() AND (p.relid = c.oid OR p.relid IS NULL)
            ) AS is_building,
            ARRAY(
                SELECT coalesce(a.attname::text, '')
                FROM unnest(x.indkey::int2[]) WITH ORDINALITY k(n, p)
                LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.n
                WHERE k.p <= x.indnkeyatts ORDER BY k.p
            ) AS fields
        FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
        LEFT JOIN pg_index x ON x.indrelid = c.oid
        LEFT JOIN pg_class i ON i.oid = x.indexrelid LEFT JOIN pg_am m ON m.oid = i.relam
        WHERE c.relkind IN ('r', 'p') AND n.nspname <> 'information_schema'
            AND n.nspname NOT LIKE 'pg\\_%' ORDER BY n.nspname, c.relname, i.relname
    """),
    "sqlite": text("""
        SELECT m.name AS collection, l.name, NOT l.partial AS is_whole,
            l."unique" AS is_unique, x.name AS field
        FROM sqlite_master m LEFT JOIN pragma_index_list(m.name) l
        LEFT JOIN pragma_index_info(l.name) x
        WHERE m.type = 'table' ORDER BY m.name, l.name, x.seqno
    """),
}
_ROWIDS = text("""
    SELECT m.name AS collection, min(x.name) AS field
    FROM sqlite_master m JOIN pragma_table_info(m.name) x ON x.pk > 0
    WHERE m.type = 'table' GROUP BY m.name
    HAVING count(*) = 1 AND upper(min(x.type)) = 'INTEGER'
""")
_SIZE = text("SELECT sum(pgsize) FROM dbstat WHERE name = :name")
_IS_PARTITIONED = text("SELECT relkind = 'p' FROM pg_class WHERE oid = to_regclass(:name)")
_LEFT = text("""
    SELECT c.relname FROM pg_index x JOIN pg_class c ON c.oid = x.indexrelid
    WHERE NOT x.indisvalid AND x.indrelid = to_regclass(:name) AND c.relname = :index
""")
_PROGRESS = text("""
    SELECT phase, blocks_done, blocks_total FROM pg_stat_progress_create_index
    WHERE datname = current_database() AND relid = to_regclass(:name)
""")


class SqlIndexes:
    """One PostgreSQL or SQLite database, for its indexes alone; used as a context manager."""

    def __init__(self, url: str) -> None:
        self._server = SqlServer(url)
        self.goes_on = self._server.dialect == "postgresql"

    def __enter__(self) -> "SqlIndexes":
        return self

    def __exit__(self, *_: object) -> None:
        self._server.close()

    def existing(self) -> dict[str, list[Index]]:
        with self._reading(self._server.name) as transaction:
            if transaction.dialect == "postgresql":
                return _of_postgres(transaction)
            found = _of_sqlite(transaction)
        return {name: list(map(self._sized, indexes)) for name, indexes in found.items()}

    def estimate(self, collection: str, fields: Sequence[str]) -> int:
        where = self._where(collection)
        with self._reading(where) as transaction:
            table = look_up(transaction, where, collection)
            sizes = [_size(table, field).label(field) for field in fields]
            sample = select(*sizes).select_from(table.source).limit(SAMPLE)
            entries = [sum(row) for row in transaction.execute(sample)]
            records = count_quickly(transaction, table) if entries else 0
        row, overhead = _ROW[self._server.dialect], _OVERHEAD[self._server.dialect]
        taken = [overhead + -(-int(size) // row) * row for size in entries]
        return int(records * sum(taken) / len(taken) / _FILLED) if taken else 0

    def create(self, collection: str, fields: Sequence[str], *, unique: bool = False) -> str:
        where = self._where(collection)
        name = self._free_name(collection, fields)
        with self._reading(where) as transaction:
            table = look_up(transaction, where, collection)
            columns = ", ".join(quoted(table.column(field).name) for field in fields)
            place = quoted(*parts(transaction.dialect, collection))
            _must_not_be_partitioned(transaction, where, collection)
        kind = "UNIQUE INDEX" if unique else "INDEX"
        try:
            if self._server.dialect == "sqlite":
                command = f"CREATE {kind} {quoted(name)} ON {place} ({columns})"
                with self._server.writing(where, time.monotonic() + BUILD_SECONDS) as transaction:
                    transaction.execute(text(command))
                return name
            self._run_alone(
                where, f"CREATE {kind} CONCURRENTLY {quoted(name)} ON {place} ({columns})"
            )
        except TargetError as error:
            failed = error
            if isinstance(error.__cause__, IntegrityError):
                failed = RecordsRepeated(where, fields, _repeated(place, columns))
            if self._server.dialect == "postgresql":
                failed = self._after_failure(collection, name, failed)
            raise failed from error
        return name

    def drop_invalid(self, collection: str, name: str) -> None:
        schema, _ = parts(self._server.dialect, collection)
        where = self._where(collection)
        self._run_alone(where, f"DROP INDEX CONCURRENTLY IF EXISTS {quoted(schema, name)}")

    def progress(self, collection: str) -> str | None:
        if self._server.dialect == "sqlite":
            return None
        with self._reading(self._where(collection)) as transaction:
            row = transaction.execute(_PROGRESS, [named("postgresql", collection)]).first()
        if row is None or row.phase is None:
            return None
        far = f", {row.blocks_done:,} of {row.blocks_total:,} blocks" if row.blocks_total else ""
        return f"{row.phase}{far}"

    def _reading(self, where: str) -> Any:
        return self._server.reading(where, SECONDS, primary=True)

    def _where(self, collection: str) -> str:
        return f"{self._server.name}, table {collection}"

    def _free_name(self, collection: str, fields: Sequence[str]) -> str:
        """By PostgreSQL's own pattern; one that is taken gets a number."""
        _, table = parts(self._server.dialect, collection)
        taken = {index.name for indexes in self.existing().values() for index in indexes}
        wished = "_".join((table, *fields))[: NAME_LENGTH - 6] + "_idx"
        numbered = (f"{wished}{number or ''}" for number in range(len(taken) + 1))
        return next(name for name in numbered if name not in taken)

    def _run_alone(self, where: str, command: str) -> None:
        """Outside any transaction, for as long as it takes."""
        with self._server.alone(where) as connection:
            connection.exec_driver_sql("SET statement_timeout = 0")
            connection.exec_driver_sql(command)

    def _after_failure(self, collection: str, name: str, error: TargetError) -> TargetError:
        """The error of a build, which says what became of the invalid index that it left."""
        try:
            with self._reading(self._where(collection)) as transaction:
                asked = {**named("postgresql", collection), "index": name}
                if transaction.execute(_LEFT, [asked]).first() is None:
                    return error
            self.drop_invalid(collection, name)
        except TargetError:
            return IndexNotBuilt(
                f"{error} The build may have left an invalid index {name}, which each write keeps "
                f"up: if `tend indexes` shows it, remove it with DROP INDEX CONCURRENTLY {name}."
            )
        return IndexNotBuilt(f"{error} The invalid index {name} that the build left is dropped.")

    def _sized(self, index: Index) -> Index:
        """SQLite tells a size only if it was built to, and reads the whole index for it."""
        try:
            with self._reading(self._server.name) as transaction:
                size = transaction.execute(_SIZE, [{"name": index.name}]).scalar()
        except (DeadlineExceeded, TargetError):
            return index
        return replace(index, size=size)


def _of_postgres(transaction: Transaction) -> dict[str, list[Index]]:
    """By the table's name alone where that finds it, and by schema and name."""
    found: defaultdict[str, list[Index]] = defaultdict(list)
    for row in transaction.execute(_INDEXES["postgresql"]):
        names = [f"{row.schema}.{row.collection}", *([row.collection] if row.visible else [])]
        for name in names:
            found[name] += [_index(row)] if row.name is not None else []
    return dict(found)


def _index(row: Any) -> Index:
    is_building = not row.is_valid and row.is_building
    return Index(
        name=row.name,
        fields=tuple(row.fields),
        size=None if is_building else row.size,
        is_whole=is_building or (row.is_whole and row.is_valid),
        is_building=is_building,
        is_unique=row.is_unique,
        is_invalid=not row.is_valid and not is_building,
    )


def _of_sqlite(transaction: Transaction) -> dict[str, list[Index]]:
    found: defaultdict[str, dict[str, Index]] = defaultdict(dict)
    for row in transaction.execute(_INDEXES["sqlite"]):
        of_table = found[row.collection]
        if row.name is not None:
            before = of_table[row.name].fields if row.name in of_table else ()
            fields = (*before, row.field or "")
            of_table[row.name] = Index(
                row.name, fields, None, bool(row.is_whole), False, bool(row.is_unique)
            )
    for row in transaction.execute(_ROWIDS):
        found[row.collection][ROWID] = Index(ROWID, (row.field,), None, True, False, True)
    return {name: list(indexes.values()) for name, indexes in found.items()}


def _repeated(place: str, columns: str) -> str:
    """What a person asks to find them; their values are in no error."""
    are_there = " AND ".join(f"{column} IS NOT NULL" for column in columns.split(", "))
    return (
        f"SELECT {columns}, count(*) FROM {place} WHERE {are_there} "  # noqa: S608 - it is printed, and its names are quoted
        f"GROUP BY {columns} HAVING count(*) > 1;"
    )


def _size(table: SqlTable, field: str) -> ColumnElement[Any]:
    """Bytes of a value in an index."""
    column = table.column(field)
    if table.dialect == "postgresql":
        return func.coalesce(func.pg_column_size(column), 0)
    return func.coalesce(func.length(cast(column, LargeBinary)), 0)


def _must_not_be_partitioned(transaction: Transaction, where: str, collection: str) -> None:
    if transaction.dialect == "sqlite":
        return
    asked = named(transaction.dialect, collection)
    if transaction.execute(_IS_PARTITIONED, [asked]).scalar():
        raise TargetError(
            f"{where} is partitioned, and PostgreSQL builds no index on all of it while others "
            "write; create one on each partition, CONCURRENTLY."
        )
