"""SQL values in two forms: raw, as the database takes them back, and native, for a job to read.

PostgreSQL's raw form is the text of a value: every type it has reads its own text back without
loss, as in a dump. Python's types would lose an interval's months, infinity, or a number's
digits in JSON. SQLite's raw form is the stored value itself, whatever its column was declared.
Both are types that BSON keeps, so plans and archives hold them as they are.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, date, datetime
from decimal import Decimal
from enum import StrEnum
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import ColumnElement, Text, cast
from sqlalchemy.types import UserDefinedType

Raw = str | int | float | bytes | None


class RawType(UserDefinedType[Any]):
    """A column or parameter that passes as it is: the database infers what the text stands for."""

    cache_ok = True


class Kind(StrEnum):
    """What a column holds, in the words of a sentence."""

    INTEGER = "integers"
    DECIMAL = "decimal numbers"
    FLOAT = "floating-point numbers"
    BOOLEAN = "true and false"
    TEXT = "text"
    DAY = "days"
    MOMENT = "timestamps"
    INSTANT = "timestamps with a time zone"
    OTHER = "a type of the database's own"


NUMBERS = frozenset({Kind.INTEGER, Kind.DECIMAL, Kind.FLOAT})
MOMENTS = frozenset({Kind.MOMENT, Kind.INSTANT})


class Form(Protocol):
    """The raw form of one kind of database."""

    def read(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        """What to select, so that the column's raw value arrives."""

    def native(self, kind: Kind, raw: Any) -> Any:
        """The value a job sees; what Python's type cannot hold stays raw."""

    def raw(self, value: Any) -> Raw:
        """A native value as the database takes it; a raw one stays as it is."""


class TextForm:
    """PostgreSQL, in a session whose styles are pinned as in a dump."""

    def read(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return cast(column, Text)

    def native(self, kind: Kind, raw: Any) -> Any:
        if raw is None:
            return None
        with suppress(ValueError):
            match kind:
                case Kind.INTEGER:
                    return int(raw)
                case Kind.DECIMAL:
                    return Decimal(raw)
                case Kind.FLOAT:
                    return float(raw)
                case Kind.BOOLEAN:
                    return raw == "true"
                case Kind.DAY | Kind.MOMENT | Kind.INSTANT:
                    return _calendar(kind, raw)
        return raw

    def raw(self, value: Any) -> Raw:
        match value:
            case None | str():
                return value
            case bool():
                return "true" if value else "false"
            case bytes():
                return rf"\x{value.hex()}"
            case datetime():
                return (value.astimezone(UTC) if value.tzinfo else value).isoformat()
            case date():
                return value.isoformat()
            case dict() | list():
                return json.dumps(value)
            case int() | float() | Decimal() | UUID():
                return str(value)
            case _:
                raise TypeError(f"no column of PostgreSQL takes a {type(value).__name__}")


class StoredForm:
    """SQLite, where a column may hold values of any type beside the declared one."""

    def read(self, column: ColumnElement[Any]) -> ColumnElement[Any]:
        return column

    def native(self, kind: Kind, raw: Any) -> Any:
        if kind is Kind.BOOLEAN and raw in {0, 1}:
            return bool(raw)
        if isinstance(raw, str) and kind in MOMENTS | {Kind.DAY}:
            with suppress(ValueError):
                return _calendar(kind, raw)
        return raw

    def raw(self, value: Any) -> Raw:
        match value:
            case bool():
                return int(value)
            case None | str() | int() | float() | bytes():
                return value
            case datetime():
                stored = value.astimezone(UTC) if value.tzinfo else value
                return stored.strftime("%Y-%m-%d %H:%M:%S.%f")
            case date():
                return value.isoformat()
            case Decimal():
                return float(value)
            case _:
                raise TypeError(f"no column of SQLite takes a {type(value).__name__}")


def _calendar(kind: Kind, text: str) -> date:
    """A day, or a moment in UTC: a timestamp without a zone is read as one."""
    if kind is Kind.DAY:
        return date.fromisoformat(text)
    moment = datetime.fromisoformat(text)
    return moment.astimezone(UTC) if moment.tzinfo else moment.replace(tzinfo=UTC)


class NativeRow(Mapping[str, Any]):
    """A row as a job reads it; a value is made only when the job asks for it."""

    def __init__(self, form: Form, kinds: Mapping[str, Kind], row: Mapping[str, Any]) -> None:
        self._form = form
        self._kinds = kinds
        self._row = row

    def __getitem__(self, name: str) -> Any:
        return self._form.native(self._kinds[name], self._row[name])

    def __iter__(self) -> Iterator[str]:
        return iter(self._row)

    def __len__(self) -> int:
        return len(self._row)


def size_of(row: Mapping[str, Any]) -> int:
    """About as many bytes as the row has in an archive."""
    return sum(
        len(name) + (len(raw) if isinstance(raw, str | bytes) else 8) for name, raw in row.items()
    )
