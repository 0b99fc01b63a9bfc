"""Whether records can be put back, by reading alone: the preview of an undo.

An undo asks the database itself, which refuses a row that breaks a constraint. A preview must not
write, so it looks for what would be refused.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnClause, TableClause, select, tuple_

from policies.selectors import Selector
from worker.targets.base import RecordOutcome
from worker.targets.sql_catalog import look_up
from worker.targets.sql_constraints import Parent, parents, unique_columns
from worker.targets.sql_restore import Codes, Restorer
from worker.targets.sql_rows import Raw
from worker.targets.sql_select import compile_held
from worker.targets.sql_server import SqlServer, Transaction
from worker.targets.sql_table import TUPLES, SqlTable, identity

SECONDS = 60
Rows = Mapping[Any, Mapping[str, Raw]]
"""Rows as they would be, by the identity of their keys."""
Values = tuple[Raw, ...]


@dataclass
class SqlJudge:
    """Asks in transactions that cannot write; remembers what the records before will hold."""

    server: SqlServer
    collection: str
    where: str
    as_of: datetime
    held: Selector | None
    _claimed: set[tuple[tuple[str, ...], Values]] = field(default_factory=set, init=False)

    def judge(self, records: Sequence[RecordOutcome]) -> list[RecordOutcome]:
        """See `Judge.judge`."""
        with self.server.reading(self.where, SECONDS, primary=True) as transaction:
            table = look_up(transaction, self.where, self.collection)
            held = compile_held(self.held, self.as_of, table)
            codes = Restorer(transaction, table, self.collection, held).judged(records)
            free = [record for record in records if identity(record.key) not in codes]
            look = _Look(transaction, table, self.collection)
            codes.update(self._constrained(look, look.rows(free)))
        return [
            RecordOutcome(record.key, "conflict" if code else "restored", code)
            for record in records
            for code in [codes.get(identity(record.key))]
        ]

    def _constrained(self, look: "_Look", rows: Rows) -> Codes:
        codes: Codes = {}
        own = {parent.refers_to for parent in look.parents if parent.is_own}
        for columns in look.unique:
            held = look.held(columns, rows)
            for key, values in _values(columns, rows):
                if key in held or (columns, values) in self._claimed:
                    codes[key] = "key_taken"
                self._claimed.add((columns, values))
        waiting = {key: row for key, row in rows.items() if key not in codes}
        missing = look.without_parent(waiting)
        while True:  # a row of a tree comes after its parent, which may be among these
            ready = {
                key: row
                for key, row in waiting.items()
                if all(
                    parent.is_own and (parent.refers_to, _of(parent.columns, row)) in self._claimed
                    for parent in missing.get(key, ())
                )
            }
            if not ready:
                break
            for columns in own:
                self._claimed |= {(columns, values) for _, values in _values(columns, ready)}
            waiting = {key: row for key, row in waiting.items() if key not in ready}
        return {**codes, **dict.fromkeys(waiting, "parent_missing")}


@dataclass
class _Look:
    """What one transaction reads of the table and its constraints."""

    transaction: Transaction
    table: SqlTable
    collection: str
    unique: list[tuple[str, ...]] = field(init=False)
    parents: list[Parent] = field(init=False)

    def __post_init__(self) -> None:
        self.unique = unique_columns(self.transaction, self.collection)
        self.parents = parents(self.transaction, self.collection)

    def rows(self, records: Sequence[RecordOutcome]) -> Rows:
        """The records as they would be; of one that is there, only what comes back differs."""
        there = [record.key for record in records if record.written is not None]
        present: dict[Any, Mapping[str, Raw]] = {}
        for some in self.table.slices(there):
            query = self.table.select(self.table.stored).where(self.table.with_keys(some))
            for row in self.table.rows(self.transaction.execute(query)):
                present[identity(self.table.key_of(row))] = row
        return {
            identity(record.key): record.before["row"]
            if record.written is None
            else {
                **present[identity(record.key)],
                **{name: record.before["row"][name] for name in record.written},
            }
            for record in records
        }

    def held(self, columns: tuple[str, ...], rows: Rows) -> set[Any]:
        """The rows whose values in these columns another record has."""
        wanted: dict[Values, list[Any]] = {}
        for key, values in _values(columns, rows):
            wanted.setdefault(values, []).append(key)
        source = [self.table.column(name) for name in columns]
        held: set[Any] = set()
        for some in _slices(list(wanted)):
            names = tuple(dict.fromkeys([*self.table.key, *columns]))
            query = self.table.select(names).where(_in(source, some))
            for row in self.table.rows(self.transaction.execute(query)):
                owner = identity(self.table.key_of(row))
                held |= {key for key in wanted.get(_of(columns, row), ()) if key != owner}
        return held

    def without_parent(self, rows: Rows) -> dict[Any, list[Parent]]:
        """The foreign keys of each row that lead nowhere now."""
        missing: dict[Any, list[Parent]] = {}
        for parent in self.parents:
            wanted = dict(_values(parent.columns, rows))
            there = self._there(parent.source, parent.refers_to, set(wanted.values()))
            for key, values in wanted.items():
                if values not in there:
                    missing.setdefault(key, []).append(parent)
        return missing

    def _there(
        self, source: TableClause, columns: tuple[str, ...], wanted: set[Values]
    ) -> set[Values]:
        parts = [source.c[name] for name in columns]
        found: set[Values] = set()
        for some in _slices(list(wanted)):
            query = select(*(self.table.form.read(part) for part in parts)).where(_in(parts, some))
            found |= {tuple(row) for row in self.transaction.execute(query)}
        return found


def _in(columns: Sequence[ColumnClause[Any]], values: Sequence[Values]) -> Any:
    if len(columns) == 1:
        return columns[0].in_([value for (value,) in values])
    return tuple_(*columns).in_(values)


def _of(columns: Sequence[str], row: Mapping[str, Raw]) -> Values:
    return tuple(row[name] for name in columns)


def _values(columns: Sequence[str], rows: Rows) -> Iterator[tuple[Any, Values]]:
    """What each row has there; one with an empty field collides with none and needs no parent."""
    for key, row in rows.items():
        values = _of(columns, row)
        if None not in values:
            yield key, values


def _slices(values: Sequence[Values]) -> Iterator[Sequence[Values]]:
    for start in range(0, len(values), TUPLES):
        yield values[start : start + TUPLES]
