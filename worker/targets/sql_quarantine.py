"""The quarantine of a SQL table: another table, which the database's owner creates.

It keeps each record as JSON, so that a migration of the home table leaves it as it is.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import delete, insert

from worker.errors import CollectionMissing, TargetError
from worker.targets.base import RecordOutcome
from worker.targets.quarantine import SUFFIX
from worker.targets.sql_catalog import look_up
from worker.targets.sql_rows import MOMENTS, Kind, NativeRow
from worker.targets.sql_server import Transaction
from worker.targets.sql_table import SqlTable, identity, quoted

_TEXTS = ("id", "key", "codes", "policy", "run", "record")
_MOMENTS = ("at", "until")
_COLUMNS = (
    "id text PRIMARY KEY, key text NOT NULL, codes text NOT NULL, policy text NOT NULL, "
    "run text NOT NULL, record text NOT NULL, at timestamptz NOT NULL, until timestamptz NOT NULL"
)


def quarantine_of(transaction: Transaction, where: str, collection: str) -> SqlTable:
    """The quarantine of a table; raises `TargetError` with the statements that create it."""
    name = collection + SUFFIX
    create = _statements(transaction.dialect, name)
    try:
        found = look_up(transaction, where, name)
    except CollectionMissing:
        raise CollectionMissing(
            f"{where} has no quarantine, and Tend creates no tables: {create}"
        ) from None
    fits = found.key == ("id",) and all(found.kinds.get(name) is Kind.TEXT for name in _TEXTS)
    if not fits or not all(found.kinds.get(name) in MOMENTS for name in _MOMENTS):
        raise TargetError(f"{where} has a quarantine of another form; it should be: {create}")
    return found


def _statements(dialect: str, collection: str) -> str:
    schema, _, name = collection.rpartition(".") if dialect != "sqlite" else ("", "", collection)
    table, index = quoted(schema, name), quoted(f"{name}_until")
    return f"CREATE TABLE {table} ({_COLUMNS}); CREATE INDEX {index} ON {table} (until);"


@dataclass(frozen=True)
class SqlQuarantine:
    """The copies that one transaction puts beside a table, or takes back."""

    transaction: Transaction
    table: SqlTable

    def add(self, moved: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
        form = self.table.form
        rows = [
            {name: form.raw(value) for name, value in _copy(image, label).items()}
            for image, label in moved
        ]
        self.transaction.execute(insert(self.table.source), rows)

    def conflicts(self, records: Sequence[RecordOutcome]) -> dict[Any, str]:
        """Why a copy cannot be taken back, by the record's key: it is gone, or was changed."""
        names = [record.label["_id"] for record in records if record.label]
        found = {}
        for some in self.table.slices(names):
            query = self.table.select((*_TEXTS, *_MOMENTS)).where(self.table.with_keys(some))
            for row in self.table.rows(self.transaction.execute(query)):
                found[row["id"]] = dict(NativeRow(self.table.form, self.table.kinds, row))
        codes = {}
        for record in records:
            wanted = _copy(record.before, record.label or {})
            if wanted["id"] not in found:
                codes[identity(record.key)] = "gone"
            elif found[wanted["id"]] != wanted:
                codes[identity(record.key)] = "changed_since"
        return codes

    def remove(self, records: Sequence[RecordOutcome]) -> int:
        """Remove the copies of these records; returns how many there were."""
        done = 0
        for some in self.table.slices([record.label["_id"] for record in records if record.label]):
            statement = delete(self.table.source).where(self.table.with_keys(some))
            done += self.transaction.execute(statement).rowcount
        return done


def _copy(image: Mapping[str, Any], label: Mapping[str, Any]) -> dict[str, str | datetime]:
    return {
        "id": label["_id"],
        "key": json.dumps(label["key"]),
        "codes": ", ".join(label["codes"]),
        "policy": label["policy"],
        "run": label["run"],
        "record": json.dumps(dict(image["row"]), default=_hex, ensure_ascii=False),
        "at": label["at"],
        "until": label["until"],
    }


def _hex(value: bytes) -> str:
    return rf"\x{value.hex()}"
