"""Orphans found in constant memory: the children's distinct keys, looked up slice by slice.

`$nin` with every parent's key fails at 16 MB of keys. An index gives each distinct key once, in
order and without the records behind it; then only the children of keys without a parent are read.
"""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import chain
from typing import Any

from bson import ObjectId
from pymongo.database import Database

from policies.selectors import FieldParent, Selector, beside_parent
from worker.errors import ParentUnusable
from worker.targets.mongo_pages import Page, ahead, pages
from worker.targets.mongo_parents import MongoParents
from worker.targets.mongo_restore import value_at
from worker.targets.mongo_select import Filter, compile_selector
from worker.targets.mongo_values import KINDS, NO_KEYS, compared, kind_of

SLICE = 10_000
SLICE_LENGTH = 2_000_000
"""A list of keys must fit into one command, and keys can be long texts."""
PROBE = {"$in": [ObjectId("0" * 24)]}
"""What an index must answer: which records have one of these keys?"""


class MongoOrphans:
    """The children that a selector with a `not_in` describes, as one connection reads them."""

    def __init__(
        self,
        database: Database[Any],
        collection: str,
        selector: Selector,
        parent: FieldParent,
        as_of: datetime,
    ) -> None:
        self._children = database[collection]
        self._database = database
        self._selector = selector
        self._parent = parent
        self._as_of = as_of

    def pages(self, fields: Iterable[str], seconds: float) -> Iterator[Page]:
        """The orphans with these fields; no question to the server takes longer than `seconds`."""
        wanted = {"_id": 1, self._parent.field: 1, **dict.fromkeys(fields, 1)}
        milliseconds = int(seconds * 1000)
        index = self._walkable()
        if index is None:
            return self._read_all(wanted, milliseconds)
        return ahead(self._pages(index, wanted, milliseconds))

    def reported(self) -> dict[str, int]:
        """How many records have a key that can be no parent's, by the reason."""
        index, name = self._walkable(), f"${self._parent.field}"
        condition = {"$and": [self._beside(), {"$or": list(self._no_keys(index))}]}
        reason = {"$cond": [{"$eq": [name, math.nan]}, "nan", {"$type": name}]}
        pipeline: list[Filter] = [
            {"$match": condition},
            {"$group": {"_id": reason, "records": {"$sum": 1}}},
        ]
        hint: Any = {} if index is None else {"hint": index}
        counted = {
            _reason(each["_id"]): each["records"]
            for each in self._children.aggregate(pipeline, **hint)
        }
        return dict(sorted(counted.items()))

    def _pages(self, index: str, wanted: Filter, milliseconds: int) -> Iterator[Page]:
        for orphaned in filter(None, ahead(self._walk(index, milliseconds))):
            condition = compile_selector(self._selector, self._as_of, orphaned)
            yield from pages(
                self._children, condition, wanted, hint=index, max_time_ms=milliseconds
            )

    def _walk(self, index: str, milliseconds: int) -> Iterator[list[Any]]:
        """The keys without a parent, from a walk over all distinct keys."""
        distinct = self._children.aggregate(
            _distinct(self._parent.field), hint=index, batchSize=SLICE, maxTimeMS=milliseconds
        )
        with distinct:
            while page := distinct.to_list(SLICE):
                keys = [each["_id"] for each in page]
                if self._parent.key == "_id" and set(map(type, keys)) == {ObjectId}:
                    yield self._parents().lacks_ids(keys)
                    continue
                for some in _slices(keys):
                    yield self._parents().lacks(some)

    def _read_all(self, wanted: Filter, milliseconds: int) -> Iterator[Page]:
        """Without an index that gives distinct keys, every child is read, in one pass."""
        name = self._parent.field
        children = pages(
            self._children,
            self._beside(),
            wanted,
            hint={"$natural": 1},
            max_time_ms=milliseconds,
        )
        every = chain.from_iterable(ahead(children))
        for some in _slices(every, lambda child: value_at(child, name)):
            keys = [value_at(child, name) for child in some]
            orphaned = {compared(key) for key in self._parents().lacks(keys)}
            yield [
                child
                for child, key in zip(some, keys, strict=True)
                if kind_of(key) and compared(key) in orphaned
            ]

    def _walkable(self) -> str | None:
        """The index from which the server takes each distinct key once; a list rules it out."""
        explained = self._database.command(
            "explain",
            {
                "aggregate": self._children.name,
                "pipeline": _distinct(self._parent.field),
                "cursor": {},
            },
            verbosity="queryPlanner",
        )
        return next(_distinct_scans(explained), None)

    def _parents(self) -> MongoParents:
        """Anew for each slice: that there are parents must hold to the end."""
        return MongoParents(self._database[self._parent.parent], self._parent.key)

    def _beside(self) -> Filter:
        others = beside_parent(self._selector)
        return {"$and": [compile_selector(each, self._as_of) for each in others]} if others else {}

    def _no_keys(self, index: str | None) -> Iterator[Filter]:
        name, parents = self._parent.field, self._parents()
        types = [each for each in NO_KEYS if index is None or each != "array"]
        types += [
            each for kind in KINDS if not parents.has_kind(kind) for each in KINDS[kind].types
        ]
        yield from ({name: {"$type": each}} for each in types)
        yield {name: {"$exists": False}}
        yield {name: math.nan}


def check_parent(database: Database[Any], collection: str, parent: FieldParent) -> None:
    """Raise unless both are plain collections, in which keys are equal to themselves alone."""
    names = [collection, parent.parent]
    found = {
        each["name"]: each for each in database.list_collections(filter={"name": {"$in": names}})
    }
    for name in names:
        where = f"MongoDB database {database.name}, collection {name}"
        if name == parent.parent and name not in found:
            raise ParentUnusable(
                f"{where} does not exist, so every record of {collection} would look like an "
                "orphan; check `parent` in the policy."
            )
        what = found.get(name, {})
        if what.get("type", "collection") != "collection":
            raise ParentUnusable(
                f"{where} is a {what['type']}, which need not show every record; name the "
                "collection behind it in the policy."
            )
        if "collation" in what.get("options", {}):
            raise ParentUnusable(
                f"{where} has a collation, in which keys that differ can be equal; Tend cannot "
                "tell its orphans."
            )


def parent_population(database: Database[Any], collection: str, parent: FieldParent) -> int:
    """How many parents there are by the target's own books; raises `ParentUnusable` at none."""
    check_parent(database, collection, parent)
    parents = MongoParents(database[parent.parent], parent.key)
    population = database[parent.parent].estimated_document_count()
    if not population or not any(map(parents.has_kind, KINDS)):
        raise ParentUnusable(
            f"MongoDB database {database.name}, collection {parent.parent} holds no record with a "
            f"key in {parent.key}, so every record of {collection} would look like an orphan."
        )
    return population


def _reason(name: str) -> str:
    return name if name in {"null", "missing", "nan"} else f"type_{name}"


def _distinct(field: str) -> list[dict[str, Any]]:
    return [{"$sort": {field: 1}}, {"$group": {"_id": f"${field}"}}]


def _distinct_scans(explained: Any) -> Iterator[str]:
    if isinstance(explained, list):
        for each in explained:
            yield from _distinct_scans(each)
    elif isinstance(explained, Mapping):
        if explained.get("stage") == "DISTINCT_SCAN":
            yield explained["indexName"]
        yield from _distinct_scans(list(explained.values()))


def _slices(found: Iterable[Any], key: Callable[[Any], Any] | None = None) -> Iterator[list[Any]]:
    some: list[Any] = []
    length = 0
    for each in found:
        some.append(each)
        value = key(each) if key else each
        length += len(value) if isinstance(value, str | bytes) else 1
        if len(some) == SLICE or length > SLICE_LENGTH:
            yield some
            some, length = [], 0
    yield some
