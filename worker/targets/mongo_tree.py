"""Deleting records with what belongs to them, children first, as many as one transaction takes."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from bson.raw_bson import RawBSONDocument

from jobs.base import DecideTree, Fail, Held, Item, Keep, Newest, Outcomes, Relation
from policies.selectors import Selector
from policies.subjects import spared
from worker.targets.base import Images, RecordOutcome
from worker.targets.mongo_batch import MongoBatch
from worker.targets.mongo_related import MongoRelated
from worker.targets.mongo_select import Filter, compile_selector
from worker.targets.record_key import identity


@dataclass
class _Felled:
    """What one batch is about to delete, and what it leaves and why."""

    most: int
    max_bytes: int
    parents: list[RawBSONDocument] = field(default_factory=list)
    children: dict[str, list[RawBSONDocument]] = field(default_factory=dict)
    others: list[RecordOutcome] = field(default_factory=list)
    records: int = 0
    size: int = 0

    def take(
        self, parent: RawBSONDocument, children: Iterator[tuple[str, RawBSONDocument]]
    ) -> bool:
        """Add a record and what belongs to it; False if not all of it fits.

        Of the very first one as many children are added as fit, so that each batch gets on.
        """
        is_first = not self.parents and not self.others
        taken: list[tuple[str, RawBSONDocument]] = []
        size = 0
        for collection, child in children:
            size += len(child.raw)
            if not self._has_room(len(taken) + 1, size):
                break
            taken.append((collection, child))
        else:
            if self._has_room(len(taken) + 1, size + len(parent.raw)):
                self._add(taken, size + len(parent.raw))
                self.parents.append(parent)
                self.records += 1
                return True
        if is_first:
            self._add(taken, size)
        return False

    def _has_room(self, more: int, size: int) -> bool:
        """Whether so many more records fit; a single one always does."""
        fits = self.records + more <= self.most and self.size + size <= self.max_bytes
        return fits or (self.records == 0 and more == 1)

    def _add(self, children: list[tuple[str, RawBSONDocument]], size: int) -> None:
        for collection, record in children:
            self.children.setdefault(collection, []).append(record)
        self.records += len(children)
        self.size += size

    def outcomes(self, left: int) -> Outcomes:
        ends = [other.outcome for other in self.others]
        return Outcomes(
            changed=len(self.parents),
            changed_since=ends.count("changed_since"),
            gone=ends.count("gone"),
            failed=ends.count("failed"),
            held=ends.count("held"),
            cascade={name: len(records) for name, records in self.children.items()},
            left=left,
        )


class MongoTreeBatch(MongoBatch):
    """A batch that also looks at what belongs to its records, and deletes it with them."""

    @cached_property
    def related(self) -> MongoRelated:
        """Questions asked in this transaction."""
        database = self.records.database
        return MongoRelated(database, f"MongoDB database {database.name}", self.session)

    def newest(self, relation: Relation, keys: Sequence[Any]) -> Sequence[Newest]:
        return self.related.newest(relation, keys)

    def match(self, relation: Relation, keys: Sequence[Any], selector: Selector) -> Sequence[bool]:
        return self.related.match(relation, keys, compile_selector(selector, self.as_of))

    def delete_trees(
        self,
        items: Sequence[Item],
        selector: Selector,
        decide: DecideTree,
        relations: Sequence[Relation],
        held: Held,
        most: int,
    ) -> Outcomes:
        condition = compile_selector(spared(selector, self.held), self.as_of)
        keys = [item.key for item in items]
        before = self.snapshot(keys, condition)
        missed = {identity(other.key): other for other in self.missed(keys, before, selector)}
        present = {identity(record["_id"]): record for record in before}
        felled = _Felled(most, self.max_bytes)
        left = len(items)
        for item in items:
            record = present.get(identity(item.key))
            change = decide(item, record) if record is not None else Keep()
            if record is None:
                felled.others.append(missed[identity(item.key)])
            elif isinstance(change, Fail):
                felled.others.append(RecordOutcome(item.key, "failed", change.code))
            elif isinstance(change, Keep):
                felled.others.append(RecordOutcome(item.key, "changed_since"))
            elif self._has_held(item.key, relations, held):
                felled.others.append(RecordOutcome(item.key, "held"))
            elif not felled.take(record, self._children(item.key, relations, most + 1)):
                break
            left -= 1
        self._fell(felled, condition)
        return felled.outcomes(left)

    def _has_held(self, key: Any, relations: Sequence[Relation], held: Held) -> bool:
        """Whether a legal hold protects a record that belongs to this key."""
        return any(
            self.match(relation, [key], held[relation.collection])[0]
            for relation in relations
            if relation.collection in held
        )

    def _children(
        self, key: Any, relations: Sequence[Relation], most: int
    ) -> Iterator[tuple[str, RawBSONDocument]]:
        for relation in relations:
            for child in self.related.children(relation, key, most):
                yield relation.collection, child

    def _fell(self, felled: _Felled, condition: Filter) -> None:
        self.archived = self.archive(
            Images(deleted=felled.parents, others=felled.others, children=felled.children)
        )
        for collection, records in felled.children.items():
            self.delete([record["_id"] for record in records], {}, collection)
        self.delete([record["_id"] for record in felled.parents], condition)
