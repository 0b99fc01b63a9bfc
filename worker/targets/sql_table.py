"""A table as it stands: its columns, what they hold, and its key."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    CursorResult,
    Select,
    TableClause,
    select,
    tuple_,
)

from worker.errors import TargetError
from worker.targets.sql_rows import Form, Kind, Raw
from worker.targets.sql_server import Transaction

PARAMETERS = 5_000
"""Per statement; PostgreSQL takes 65,535 and SQLite 32,766."""
TUPLES = 500
"""Composite keys become alternatives, which are slower to plan than a list."""


@dataclass(frozen=True)
class SqlTable:
    """What a transaction found when it looked the table up."""

    where: str
    dialect: str
    source: TableClause
    kinds: Mapping[str, Kind]
    key: tuple[str, ...]
    generated: frozenset[str]
    """Columns that the database computes: no part of a before-image."""
    form: Form
    beside: "Callable[[str], SqlTable]"
    """Another table of the same database, as this transaction finds it."""

    def column(self, name: str) -> ColumnClause[Any]:
        found: ColumnClause[Any] | None = self.source.c.get(name)
        if found is None:
            raise TargetError(f"{self.where} has no column '{name}'; check the policy's fields.")
        return found

    @property
    def stored(self) -> tuple[str, ...]:
        """The columns of a before-image."""
        return tuple(name for name in self.kinds if name not in self.generated)

    def select(self, names: Sequence[str]) -> Select[Any]:
        """The raw values of these columns."""
        return select(*(self.form.read(self.column(name)).label(name) for name in names))

    def rows(self, result: CursorResult[Any]) -> Iterator[dict[str, Any]]:
        """The raw rows of what `select` asked for."""
        names = tuple(result.keys())
        for row in result:
            yield dict(zip(names, row, strict=True))

    def key_of(self, row: Mapping[str, Any]) -> Any:
        """The planned key: a scalar, or a list in the order of the primary key."""
        parts = [
            self.form.native(Kind.INTEGER, row[name])
            if self.kinds[name] is Kind.INTEGER
            else row[name]
            for name in self.key
        ]
        return parts if len(parts) > 1 else parts[0]

    def with_keys(self, keys: Sequence[Any]) -> ColumnElement[bool]:
        """The condition that a record has one of these keys; no more of them than `slices` cuts."""
        columns = [self.column(name) for name in self.key]
        values = [self.parts(key) for key in keys]
        if len(columns) == 1:
            return columns[0].in_([parts[0] for parts in values])
        return tuple_(*columns).in_(values)

    def parts(self, key: Any) -> tuple[Raw, ...]:
        """The raw values of a key's columns."""
        parts = key if isinstance(key, list) else [key]
        return tuple(self.form.raw(part) for part in parts)

    def present(
        self,
        transaction: Transaction,
        keys: Sequence[Any],
        condition: ColumnElement[bool] | None = None,
    ) -> set[Any]:
        """Which of these keys have a record, and one that meets the condition."""
        found: set[Any] = set()
        for some in self.slices(keys):
            query = self.select(self.key).where(self.with_keys(some))
            if condition is not None:
                query = query.where(condition)
            rows = self.rows(transaction.execute(query))
            found |= {identity(self.key_of(row)) for row in rows}
        return found

    def slices(self, keys: Sequence[Any]) -> Iterator[Sequence[Any]]:
        size = PARAMETERS if len(self.key) == 1 else TUPLES
        for start in range(0, len(keys), size):
            yield keys[start : start + size]


def quoted(*names: str | None) -> str:
    """A name as SQL takes it, after its schema if there is one."""
    return ".".join('"' + name.replace('"', '""') + '"' for name in names if name)


def identity(key: Any) -> Any:
    """A key that can be looked up: 1 and "1" differ, and a list becomes a tuple."""
    return tuple(key) if isinstance(key, list) else key
