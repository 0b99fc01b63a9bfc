"""One open SQL transaction: read the before-images, archive them, change the records."""

from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import and_, delete, exists, select, update

from jobs.base import Decide, Item, Outcomes, Update
from policies.selectors import AllOf, Selector
from policies.subjects import spared
from worker.errors import BatchTooLarge, TargetConflict, TargetError
from worker.targets.base import Archive, ArchiveRef, Images, RecordOutcome, why_missed
from worker.targets.decided import Written, archived_beside, counted, keep, sort
from worker.targets.quarantine import Origin
from worker.targets.sql_catalog import Reference, references
from worker.targets.sql_quarantine import SqlQuarantine, quarantine_of
from worker.targets.sql_restore import Restorer
from worker.targets.sql_rows import Kind, NativeRow, Raw, size_of
from worker.targets.sql_select import Condition, compile_held, compile_selector
from worker.targets.sql_server import Transaction
from worker.targets.sql_table import SqlTable, identity

# An image is what the archive keeps: the key under the name it has there, and the raw row.
Image = Mapping[str, Any]
TakeAlong = Callable[[Transaction, str, Sequence[Any], Origin | None], None]
"""Removes, before a table's records, what belongs to them; then no reference keeps a record."""
_NUMBER = (int, float, Decimal)
_TAKES: dict[Kind, tuple[type, ...]] = {
    Kind.INTEGER: (int,),
    Kind.DECIMAL: _NUMBER,
    Kind.FLOAT: _NUMBER,
    Kind.BOOLEAN: (bool,),
    Kind.TEXT: (str,),
    Kind.DAY: (date,),
    Kind.MOMENT: (datetime,),
    Kind.INSTANT: (datetime,),
    Kind.OTHER: (str,),
}


@dataclass
class SqlBatch:
    """What a job or an undo may do inside one transaction; used once."""

    transaction: Transaction
    table: SqlTable
    collection: str
    as_of: datetime
    max_bytes: int
    archive: Archive
    held: Selector | None
    """What is under a legal hold: no job can ask for it, and no undo overwrites it."""
    origin: Origin | None = None
    take_along: TakeAlong | None = None
    archived: ArchiveRef | None = field(default=None, init=False)

    def change(self, items: Sequence[Item], selector: Selector, decide: Decide) -> Outcomes:
        condition = compile_selector(spared(selector, self.held), self.as_of, self.table)
        keys = [item.key for item in items]
        before = self._snapshot(keys, condition)
        missed = self._missed(keys, before, selector)
        images = sort(before, decide, self.origin, read=self._read, written=self._written)
        referred = self._referred([image["_id"] for image in images.leaving])
        images = keep(images, lambda image: identity(image["_id"]) in referred, "still_referenced")
        images = replace(images, others=[*images.others, *missed])
        with archived_beside(self.archive, images) as archived:
            self._delete([image["_id"] for image in images.leaving], condition)
            self._move(images.quarantined)
            self._update(images.updated, condition)
            self.archived = archived.result()
        return counted(images)

    def restore(self, records: Sequence[RecordOutcome]) -> Outcomes:
        """The outcomes are archived after the change, and before it is committed."""
        held = compile_held(self.held, self.as_of, self.table)
        restorer = Restorer(self.transaction, self.table, self.collection, held)
        outcomes = restorer.restore(records)
        self.archived = self.archive(Images(others=outcomes))
        restored = sum(outcome.outcome == "restored" for outcome in outcomes)
        return Outcomes(changed=restored, changed_since=len(outcomes) - restored)

    def _snapshot(self, keys: list[Any], condition: Condition) -> list[Image]:
        before: list[Image] = []
        size = 0
        wanted = {identity(key) for key in keys}
        for some in self.table.slices(keys):
            query = self.table.select(self.table.stored)
            query = query.where(self.table.with_keys(some), condition)
            with self.transaction.stream(query) as found:
                for row in self.table.rows(found):
                    key = self.table.key_of(row)
                    if identity(key) not in wanted:  # equal to the database, as in citext
                        continue
                    before.append({"_id": key, "row": row})
                    size += size_of(row)
                    if size > self.max_bytes and len(keys) > 1:
                        raise BatchTooLarge(f"{len(keys)} records exceed {self.max_bytes} bytes.")
        return before

    def _missed(
        self, keys: list[Any], before: list[Image], selector: Selector
    ) -> list[RecordOutcome]:
        if len(before) == len(keys):
            return []
        matched = {identity(image["_id"]) for image in before}
        rest = [key for key in keys if identity(key) not in matched]
        present = self.table.present(self.transaction, rest)
        held = set[Any]()
        if self.held is not None:
            wanted = AllOf(all=(selector, self.held))
            condition = compile_selector(wanted, self.as_of, self.table)
            held = self.table.present(self.transaction, rest, condition)
        return [RecordOutcome(key, why_missed(identity(key), present, held)) for key in rest]

    def _read(self, image: Image) -> NativeRow:
        return NativeRow(self.table.form, self.table.kinds, image["row"])

    def _written(self, _image: Image, change: Update) -> Written:
        """What is removed from a row becomes NULL."""
        fields = {**change.fields, **dict.fromkeys(change.unset)}
        for name, value in fields.items():
            column = f"{self.table.where}: column {self.table.column(name).name}"
            kind = self.table.kinds[name]
            fits = isinstance(value, _TAKES[kind]) and (kind is Kind.BOOLEAN) == isinstance(
                value, bool
            )
            if name in self.table.key:
                raise TargetError(f"{column} is part of the key, which stays; correct the policy.")
            if value is not None and not fits:
                raise TargetError(
                    f"{column} holds {kind}, and the policy would write a "
                    f"{type(value).__name__}; correct the policy."
                )
        return {name: self.table.form.raw(value) for name, value in fields.items()}, ()

    def _referred(self, keys: list[Any]) -> set[Any]:
        """Records that others refer to: a cascade would change those, in no plan and no archive."""
        if not keys or self.take_along is not None:
            return set()
        found: set[Any] = set()
        for reference in references(self.transaction, self.collection):
            found |= self.table.present(self.transaction, keys, self._has_child(reference))
        return found

    def _has_child(self, reference: Reference) -> Condition:
        child = reference.child.alias("child")
        same = [child.c[mine] == self.table.column(parent) for mine, parent in reference.pairs]
        return exists(select(1).select_from(child).where(and_(*same)))

    def _delete(self, keys: list[Any], condition: Condition) -> None:
        if keys and self.take_along is not None:
            self.take_along(self.transaction, self.collection, keys, self.origin)
        done = 0
        for some in self.table.slices(keys):
            statement = delete(self.table.source).where(self.table.with_keys(some), condition)
            done += self.transaction.execute(statement).rowcount
        require(done, len(keys))

    def _move(self, moved: Sequence[tuple[Image, dict[str, Any]]]) -> None:
        if moved:
            place = quarantine_of(self.transaction, self.table.where, self.collection)
            SqlQuarantine(self.transaction, place).add(moved)

    def _update(
        self,
        updates: Sequence[tuple[Image, dict[str, Raw], tuple[str, ...]]],
        condition: Condition,
    ) -> None:
        """One statement for all records that are written alike."""
        alike: defaultdict[tuple[tuple[str, Raw], ...], list[Any]] = defaultdict(list)
        for image, written, _ in updates:
            alike[tuple(written.items())].append(image["_id"])
        for values, keys in alike.items():
            kept = [self.table.column(name).is_not_distinct_from(raw) for name, raw in values]
            for some in self.table.slices(keys):
                statement = (
                    update(self.table.source)
                    .where(self.table.with_keys(some), condition)
                    .values(dict(values))
                    .returning(and_(*kept))
                )
                answers = self.transaction.execute(statement).scalars().all()
                require(len(answers), len(some))
                if not all(answers):
                    raise TargetError(
                        f"{self.table.where}: the type of a column or a trigger makes another "
                        "value of the one that the policy writes; correct the policy."
                    )


def require(done: int, expected: int) -> None:
    """In one snapshot the counts cannot differ; if they do, the transaction must not commit."""
    if done != expected:
        raise TargetConflict(f"{expected} records were to change and {done} did; nothing was kept.")
