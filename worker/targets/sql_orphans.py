"""`not_in` in SQL: rows whose parent does not exist, as a condition of the statement itself.

The database compares the keys and streams the answer. A column of SQLite may hold values of any
type: a key of a type that no parent has is no orphan there, either.
"""

from collections.abc import Iterator
from typing import Any

from sqlalchemy import (
    ColumnClause,
    ColumnElement,
    and_,
    case,
    exists,
    false,
    func,
    literal,
    not_,
    select,
)

from policies.selectors import FieldParent
from worker.errors import TargetError
from worker.targets.sql_explain import index_command, scans
from worker.targets.sql_rows import NUMBERS, Kind
from worker.targets.sql_server import Transaction
from worker.targets.sql_table import SqlTable

Condition = ColumnElement[bool]

_WITH_NAN = frozenset({Kind.DECIMAL, Kind.FLOAT})


def orphaned(table: SqlTable, wanted: FieldParent) -> Condition:
    """The rows whose key could be a parent's, but is that of none."""
    parent, key = _parent(table, wanted)
    has_parent = exists(select(1).select_from(parent).where(key == table.column(wanted.field)))
    return and_(judged(table, wanted), not_(has_parent.correlate(table.source)))


def judged(table: SqlTable, wanted: FieldParent) -> Condition:
    """The rows whose key is of a type that a parent's key has; never NULL."""
    column, kind = table.column(wanted.field), table.kinds[wanted.field]
    parent, key = _parent(table, wanted)

    def any_parent(*conditions: Condition) -> Condition:
        return exists(select(1).select_from(parent).where(*conditions))

    if table.dialect == "postgresql":
        is_key = and_(column.is_not(None), any_parent(key.is_not(None)))
        return and_(is_key, column != "NaN") if kind in _WITH_NAN else is_key
    # Numbers sort before text, and text before blobs, so that an index finds the first of each.
    return case(
        (func.typeof(column).in_(("integer", "real")), any_parent(key < "")),
        (func.typeof(column) == "text", any_parent(key >= "", key < b"")),
        (func.typeof(column) == "blob", any_parent(key >= b"")),
        else_=false(),
    )


def reason(table: SqlTable, wanted: FieldParent) -> ColumnElement[str]:
    """Why a row that is not judged is not: `null`, `nan`, or `type_` and the value's type."""
    column = table.column(wanted.field)
    other: ColumnElement[Any] = (
        literal("nan")
        if table.dialect == "postgresql"
        else literal("type_").concat(func.typeof(column))
    )
    return case((column.is_(None), "null"), else_=other)


def lacking(transaction: Transaction, table: SqlTable, wanted: FieldParent) -> Iterator[str]:
    """The commands that create the indexes by which both sides are looked up."""
    for side, field in ((table, wanted.field), (table.beside(wanted.parent), wanted.key)):
        column = side.column(field)
        if transaction.dialect == "postgresql":
            # A value of the column's own type that the planner does not know beforehand.
            value = select(side.source.alias().c[field]).where(false()).scalar_subquery()
            is_scanned = scans(transaction, side, column == value)
        else:
            is_scanned = scans(transaction, side, column == 0)
        if is_scanned:
            yield index_command(transaction, side.source.fullname, field)


def _parent(table: SqlTable, wanted: FieldParent) -> tuple[Any, ColumnClause[Any]]:
    """The parent's table, under a name of its own: it can be the same one; and its key."""
    found = table.beside(wanted.parent)
    found.column(wanted.key)
    kinds = table.kinds[table.column(wanted.field).name], found.kinds[wanted.key]
    if table.dialect == "postgresql" and kinds[0] is not kinds[1] and not set(kinds) <= NUMBERS:
        raise TargetError(
            f"{table.where}: column {wanted.field} holds {kinds[0]}, and {wanted.key} of "
            f"{wanted.parent} {kinds[1]}; correct the policy."
        )
    alias = found.source.alias("parent")
    return alias, alias.c[wanted.key]
