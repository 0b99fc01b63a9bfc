"""A SQL table as a person asks about it: every question ends in seconds."""

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import BigInteger, ColumnElement, and_, cast, or_

from jobs.base import Item
from policies.selectors import Selector
from worker.errors import IndexMissing
from worker.targets.sql_catalog import look_up
from worker.targets.sql_explain import scans
from worker.targets.sql_rows import NUMBERS, Kind, NativeRow, Raw
from worker.targets.sql_select import compile_selector
from worker.targets.sql_server import SqlServer
from worker.targets.sql_table import SqlTable

SECONDS = 5
_UUID = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
FOUND = 10
"""Records that one value may name; a field that names more is no name."""


class SqlLook:
    """Reads where plans are read, in transactions that cannot write."""

    def __init__(self, server: SqlServer, collection: str, where: str) -> None:
        self._server = server
        self._collection = collection
        self._where = where

    def find(self, values: Sequence[Any], field: str | None = None) -> list[Item]:
        """Values that the columns cannot hold find nothing; raises `IndexMissing`."""
        with self._server.reading(self._where, SECONDS, primary=False) as transaction:
            table = look_up(transaction, self._where, self._collection)
            names = table.key if field is None else (field,)
            wanted = [_same(table, names, value) for value in values if _fits(table, names, value)]
            if not wanted:
                return []
            if field is not None and scans(transaction, table, or_(*wanted)):
                raise IndexMissing(f"{self._where} has no index on {field} to look by.")
            query = table.select(table.stored).where(or_(*wanted)).limit(FOUND)
            rows = list(table.rows(transaction.execute(query)))
        return [Item(table.key_of(row), NativeRow(table.form, table.kinds, row)) for row in rows]

    def matches(self, selector: Selector, as_of: datetime, key: Any) -> bool:
        with self._server.reading(self._where, SECONDS, primary=False) as transaction:
            table = look_up(transaction, self._where, self._collection)
            condition = compile_selector(selector, as_of, table)
            return bool(table.present(transaction, [key], condition))


def _fits(table: SqlTable, names: Sequence[str], value: Any) -> bool:
    """Whether these columns could hold the value at all: PostgreSQL refuses to compare others."""
    parts = value if isinstance(value, list) else [value]
    if len(parts) != len(names):
        return False
    if table.dialect == "sqlite":
        return True
    kinds = [table.kinds.get(name) for name in names]
    return all(_holds(kind, part) for kind, part in zip(kinds, parts, strict=True))


def _holds(kind: Kind | None, value: Any) -> bool:
    if kind in NUMBERS:
        return isinstance(value, int)
    if kind is Kind.TEXT:
        return isinstance(value, str)
    return kind is Kind.OTHER and isinstance(value, str) and _UUID.fullmatch(value) is not None


def _same(table: SqlTable, names: Sequence[str], value: Any) -> ColumnElement[bool]:
    pairs = zip(names, table.parts(value), strict=True)
    return and_(*(table.column(name) == _parameter(table, name, part) for name, part in pairs))


def _parameter(table: SqlTable, name: str, part: Raw) -> Any:
    """PostgreSQL refuses a number that is too large for its column's type, but not for its own."""
    is_number = table.dialect == "postgresql" and table.kinds[name] is Kind.INTEGER
    return cast(part, BigInteger) if is_number else part
