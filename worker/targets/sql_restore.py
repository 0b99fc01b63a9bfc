"""Putting records back: the rows of an undo that nobody has touched since."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import ColumnElement, and_, bindparam, text, update
from sqlalchemy.exc import DataError, IntegrityError

from worker.errors import TargetConflict
from worker.targets.base import RecordOutcome
from worker.targets.sql_quarantine import SqlQuarantine, quarantine_of
from worker.targets.sql_rows import Raw, RawType
from worker.targets.sql_server import Transaction
from worker.targets.sql_table import SqlTable, identity, quoted

Records = Sequence[RecordOutcome]
Codes = dict[Any, str]
"""Why a record cannot be put back, by its key."""

_UNIQUE = {"23505", "SQLITE_CONSTRAINT_UNIQUE", "SQLITE_CONSTRAINT_PRIMARYKEY"}
_PARENT = {"23503", "SQLITE_CONSTRAINT_FOREIGNKEY"}


class Restorer:
    """Restores into one table, in one transaction."""

    def __init__(
        self,
        transaction: Transaction,
        table: SqlTable,
        collection: str,
        held: ColumnElement[bool] | None,
    ) -> None:
        self._transaction = transaction
        self._table = table
        self._collection = collection
        self._held = held

    def restore(self, records: Records) -> list[RecordOutcome]:
        """What became of each record: `restored`, or a `conflict` and why."""
        if self._transaction.dialect == "postgresql":
            self._transaction.execute(text("SET CONSTRAINTS ALL IMMEDIATE"))
        codes = self.judged(records)
        deleted = [record for record in records if record.written is None]
        codes.update(self._put_each(_free(deleted, codes), self._insert))
        self._remove([record for record in _free(deleted, codes) if record.label])
        updated = [record for record in records if record.written is not None]
        codes.update(self._put_each(_free(updated, codes), self._reverse))
        return [
            RecordOutcome(record.key, "conflict" if code else "restored", code)
            for record in records
            for code in [codes.get(identity(record.key))]
        ]

    def judged(self, records: Records) -> Codes:
        """What reading the table tells; the database may still refuse a row for its constraints."""
        codes: Codes = {
            identity(record.key): "schema_changed" for record in records if self._is_foreign(record)
        }
        deleted = [record for record in records if record.written is None]
        codes.update(self._taken(_free(deleted, codes)))
        codes.update(self._left([record for record in _free(deleted, codes) if record.label]))
        updated = [record for record in records if record.written is not None]
        codes.update(self._touched(_free(updated, codes)))
        codes.update(self._under_hold(_free(updated, codes)))
        return codes

    def _under_hold(self, updated: Records) -> Codes:
        """What is under a hold may come back, and is never overwritten."""
        if self._held is None:
            return {}
        keys = [record.key for record in updated]
        return dict.fromkeys(self._table.present(self._transaction, keys, self._held), "held")

    def _is_foreign(self, record: RecordOutcome) -> bool:
        """Whether a column that it had is there no longer."""
        needed = record.before["row"] if record.written is None else record.written
        return not set(needed) <= set(self._table.stored)

    def _taken(self, deleted: Records) -> Codes:
        present = self._table.present(self._transaction, [record.key for record in deleted])
        return dict.fromkeys(present, "key_taken")

    def _left(self, moved: Records) -> Codes:
        """A copy in the quarantine must still be there and as it was."""
        return self._quarantine().conflicts(moved) if moved else {}

    def _remove(self, moved: Records) -> None:
        if moved and self._quarantine().remove(moved) != len(moved):
            raise TargetConflict(
                f"{len(moved)} copies were to leave the quarantine; some were not."
            )

    def _quarantine(self) -> SqlQuarantine:
        place = quarantine_of(self._transaction, self._table.where, self._collection)
        return SqlQuarantine(self._transaction, place)

    def _touched(self, updated: Records) -> Codes:
        """A field, once written, must still be as written."""
        alike: defaultdict[tuple[tuple[str, Raw], ...], list[Any]] = defaultdict(list)
        for record in updated:
            alike[tuple((record.written or {}).items())].append(record.key)
        codes: Codes = {}
        for written, keys in alike.items():
            same = [self._table.column(name).is_not_distinct_from(value) for name, value in written]
            as_written = self._table.present(self._transaction, keys, and_(*same))
            present = self._table.present(self._transaction, keys)
            for key in map(identity, keys):
                if key not in as_written:
                    codes[key] = "changed_since" if key in present else "gone"
        return codes

    def _put_each(self, records: Records, put: Callable[[Records], None]) -> Codes:
        """All at once; if one is refused, each by itself, and again while that lets more in.

        A row of a tree may only go in after its parent.
        """
        if not records or self._refused(records, put) is None:
            return {}
        codes: Codes = {}
        pending = list(records)
        while pending:
            answers = [(record, self._refused([record], put)) for record in pending]
            codes = {identity(record.key): code for record, code in answers if code}
            if len(codes) == len(pending):
                break
            pending = [record for record, code in answers if code]
        return codes

    def _refused(self, records: Records, put: Callable[[Records], None]) -> str | None:
        """Why the database refuses these records, of which then none was put back."""
        try:
            with self._transaction.connection.begin_nested():
                put(records)
        except (IntegrityError, DataError) as error:
            return _code(error)
        return None

    def _insert(self, records: Records) -> None:
        alike: defaultdict[tuple[str, ...], list[Mapping[str, Raw]]] = defaultdict(list)
        for record in records:
            alike[tuple(record.before["row"])].append(record.before["row"])
        for names, rows in alike.items():
            values = [
                {f"value_{place}": row[name] for place, name in enumerate(names)} for row in rows
            ]
            self._transaction.execute(text(self._insertion(names)), values)

    def _insertion(self, names: Sequence[str]) -> str:
        into = quoted(self._table.source.schema, self._table.source.name)
        columns = ", ".join(map(quoted, names))
        values = ", ".join(f":value_{place}" for place in range(len(names)))
        # Otherwise an identity column would give the record another number.
        always = " OVERRIDING SYSTEM VALUE" if self._table.dialect == "postgresql" else ""
        begin = f"INSERT INTO {into} ({columns})".replace(":", r"\:")
        return f"{begin}{always} VALUES ({values})"

    def _reverse(self, records: Records) -> None:
        alike: defaultdict[tuple[str, ...], list[RecordOutcome]] = defaultdict(list)
        for record in records:
            alike[tuple(record.written or ())].append(record)
        for names, those in alike.items():
            statement = (
                update(self._table.source)
                .where(
                    *(
                        self._table.column(name) == bindparam(f"tend_key_{place}", type_=RawType())
                        for place, name in enumerate(self._table.key)
                    )
                )
                .values(
                    {
                        name: bindparam(f"tend_value_{place}", type_=RawType())
                        for place, name in enumerate(names)
                    }
                )
            )
            rows = [self._reversal(record, names) for record in those]
            done = self._transaction.execute(statement, rows).rowcount
            if done != len(rows):
                raise TargetConflict(f"{len(rows)} records were to come back and {done} did.")

    def _reversal(self, record: RecordOutcome, names: Sequence[str]) -> dict[str, Raw]:
        row = record.before["row"]
        return {
            **{
                f"tend_key_{place}": part
                for place, part in enumerate(self._table.parts(record.key))
            },
            **{f"tend_value_{place}": row[name] for place, name in enumerate(names)},
        }


def _free(records: Records, codes: Codes) -> list[RecordOutcome]:
    return [record for record in records if identity(record.key) not in codes]


def _code(error: IntegrityError | DataError) -> str:
    cause: Any = error.orig
    state = getattr(cause, "sqlstate", None) or getattr(cause, "sqlite_errorname", "")
    if state in _UNIQUE:
        return "key_taken"
    return "parent_missing" if state in _PARENT else "schema_changed"
