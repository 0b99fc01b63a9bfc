"""Selectors compiled to SQL conditions: the one place where a selector becomes a WHERE.

A comparison with NULL is unknown in SQL; in `none`, unknown counts as no match.
"""

import math
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

from sqlalchemy import (
    Boolean,
    ColumnClause,
    ColumnElement,
    Text,
    and_,
    case,
    false,
    func,
    not_,
    or_,
)

from policies.selectors import (
    AllOf,
    AnyOf,
    Equals,
    FieldType,
    FieldValue,
    IsType,
    LessThan,
    Local,
    Missing,
    MoreThan,
    NoneOf,
    NotANumber,
    NotIn,
    OlderThan,
    Selector,
    YoungerThan,
)
from worker.errors import TargetError
from worker.targets.sql_orphans import orphaned
from worker.targets.sql_rows import MOMENTS, NUMBERS, Kind
from worker.targets.sql_table import SqlTable

Condition = ColumnElement[bool]


def compile_selector(selector: Selector, as_of: datetime, table: SqlTable) -> Condition:
    """The condition for a selector; raises `TargetError` where a column cannot be compared so."""
    match selector:
        case NotIn(not_in=wanted):
            return orphaned(table, wanted)
        case AnyOf(any=parts):
            return or_(*(compile_selector(part, as_of, table) for part in parts))
        case AllOf(all=parts):
            return and_(*(compile_selector(part, as_of, table) for part in parts))
        case NoneOf(none=parts):
            known = or_(*(compile_selector(part, as_of, table) for part in parts))
            return not_(func.coalesce(known, false(), type_=Boolean))
        case leaf:
            return _condition(leaf, as_of, table)


def _condition(leaf: Local, as_of: datetime, table: SqlTable) -> Condition:
    match leaf:
        case OlderThan(older_than=what):
            return _older(table, what.field, what.age.before(as_of))
        case YoungerThan(younger_than=what):
            return _younger(table, what.field, what.age.before(as_of))
        case LessThan(less_than=bound):
            return _less(table, bound.field, bound.value)
        case MoreThan(more_than=bound):
            return _more(table, bound.field, bound.value)
        case NotANumber(not_a_number=what):
            return _not_a_number(table, what.field)
        case Missing(missing=what):
            return table.column(what.field).is_(None)
        case IsType(is_type=kind):
            return _is_type(table, kind)
        case Equals(equals=value):
            return _equals(table, value)


def compile_held(held: Selector | None, as_of: datetime, table: SqlTable) -> Condition | None:
    return None if held is None else compile_selector(held, as_of, table)


def _older(table: SqlTable, name: str, cutoff: datetime) -> Condition:
    """A timestamp without a zone is in UTC; a day is older when it has ended before the cutoff."""
    column, kind = _dated(table, name, "older_than")
    cutoff = cutoff.astimezone(UTC)
    if table.dialect == "sqlite":
        any_zone = (cutoff + timedelta(days=2)).strftime("%Y-%m-%d")
        return and_(column < any_zone, _as_date(column, kind) < _as_text(kind, cutoff))
    return and_(column < _bound(kind, cutoff), column > "-infinity")


def _younger(table: SqlTable, name: str, cutoff: datetime) -> Condition:
    """A date is either older or younger; what is no date is neither."""
    column, kind = _dated(table, name, "younger_than")
    cutoff = cutoff.astimezone(UTC)
    if table.dialect == "sqlite":
        any_zone = (cutoff - timedelta(days=2)).strftime("%Y-%m-%d")
        return and_(column > any_zone, _as_date(column, kind) >= _as_text(kind, cutoff))
    younger: Condition = column >= _bound(kind, cutoff)
    return younger


def _dated(table: SqlTable, name: str, word: str) -> tuple[ColumnClause[Any], Kind]:
    kind = table.kinds.get(name)
    column = table.column(name)
    if kind is None or kind not in MOMENTS | {Kind.DAY}:
        raise _misfit(table, name, f"{word} needs a date or a timestamp")
    return column, kind


def _bound(kind: Kind, cutoff: datetime) -> Any:
    if kind is Kind.MOMENT:
        return cutoff.replace(tzinfo=None)
    return cutoff.date() if kind is Kind.DAY else cutoff


def _as_text(kind: Kind, cutoff: datetime) -> str:
    """The cutoff in the form of `_as_date`; SQLite keeps dates as text in several forms."""
    if kind is Kind.DAY:
        return cutoff.strftime("%Y-%m-%d")
    return cutoff.strftime("%Y-%m-%d %H:%M:%S") + f".{cutoff.microsecond // 1000:03}"


def _as_date(column: ColumnClause[Any], kind: Kind) -> ColumnElement[Any]:
    """NULL for what is no date, though SQLite would take a bare time or number for one."""
    exact = "%Y-%m-%d" if kind is Kind.DAY else "%Y-%m-%d %H:%M:%f"
    begins_so = column.op("GLOB", is_comparison=True)("[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*")
    return case((begins_so, func.strftime(exact, column, type_=Text)))


def _less(table: SqlTable, name: str, value: float) -> Condition:
    """NaN is the largest number in PostgreSQL and NULL in SQLite: never less."""
    kind = table.kinds.get(name)
    column = table.column(name)
    if kind not in NUMBERS:
        raise _misfit(table, name, "less_than needs numbers")
    bound = math.ceil(value) if kind is Kind.INTEGER else _number(table, kind, value)
    below: Condition = column < bound
    return below


def _more(table: SqlTable, name: str, value: float) -> Condition:
    """NaN is the largest number in PostgreSQL, and text is larger than numbers in SQLite."""
    kind = table.kinds.get(name)
    column = table.column(name)
    if kind not in NUMBERS:
        raise _misfit(table, name, "more_than needs numbers")
    bound = math.floor(value) if kind is Kind.INTEGER else _number(table, kind, value)
    if table.dialect == "sqlite":
        return and_(column > bound, func.typeof(column).in_(("integer", "real")))
    return column > bound if kind is Kind.INTEGER else and_(column > bound, column < "NaN")


def _not_a_number(table: SqlTable, name: str) -> Condition:
    """NaN in PostgreSQL; in SQLite, where a column takes any type, text and bytes."""
    column, kind = table.column(name), table.kinds[name]
    if kind not in NUMBERS:
        raise _misfit(table, name, "not_a_number needs a column of numbers")
    if table.dialect == "sqlite":
        return and_(column >= "", func.typeof(column).in_(("text", "blob")))
    return false() if kind is Kind.INTEGER else _same(column, "NaN")


def _is_type(table: SqlTable, wanted: FieldType) -> Condition:
    return _is_text(table, wanted.field) if wanted.type == "text" else _is_date(table, wanted.field)


def _is_date(table: SqlTable, name: str) -> Condition:
    column, kind = table.column(name), table.kinds[name]
    if kind not in MOMENTS | {Kind.DAY}:
        return false()
    return (column if table.dialect == "postgresql" else _as_date(column, kind)).is_not(None)


def _is_text(table: SqlTable, name: str) -> Condition:
    column, kind = table.column(name), table.kinds[name]
    if table.dialect == "postgresql":
        return column.is_not(None) if kind is Kind.TEXT else false()
    # Text sorts after numbers and before blobs, so that an index finds it.
    text = and_(column >= "", func.typeof(column) == "text")
    return and_(text, _as_date(column, kind).is_(None)) if kind in MOMENTS | {Kind.DAY} else text


def _equals(table: SqlTable, wanted: FieldValue) -> Condition:
    column, kind = table.column(wanted.field), table.kinds[wanted.field]
    value = wanted.value
    if value is None:
        return column.is_(None)
    if wanted.type == "objectid":
        return false()
    if isinstance(value, bool):
        if kind is not Kind.BOOLEAN:
            raise _misfit(table, wanted.field, "equals true or false needs a boolean")
        return _same(column, table.form.raw(value))
    if isinstance(value, str):
        if kind not in {Kind.TEXT, Kind.OTHER}:
            raise _misfit(table, wanted.field, "equals a text needs text")
        return _same(column, value)
    if kind not in NUMBERS:
        raise _misfit(table, wanted.field, "equals a number needs numbers")
    if kind is Kind.INTEGER and value != math.floor(value):
        return false()
    return _same(column, _number(table, kind, value))


def _same(column: ColumnClause[Any], value: Any) -> Condition:
    condition: Condition = column == value
    return condition


def _number(table: SqlTable, kind: Kind | None, value: float) -> Any:
    """A parameter of the column's own type, or an index on the column would not be used."""
    if kind is Kind.INTEGER:
        return int(value)
    exact = kind is Kind.DECIMAL and table.dialect == "postgresql"
    return Decimal(str(value)) if exact else value


def _misfit(table: SqlTable, name: str, needs: str) -> TargetError:
    return TargetError(
        f"{table.where}: column {name} holds {table.kinds[name]}, and {needs}; correct the policy."
    )
