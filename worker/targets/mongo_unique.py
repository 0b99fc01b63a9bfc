"""Unique indexes: whether the values of a record that is to come back are free.

Asked before anything is written. A duplicate that only a write reveals ends the transaction, and
thousands of them would each begin it anew.
"""

import unicodedata
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from itertools import chain, product
from typing import Any

from bson.decimal128 import Decimal128
from bson.raw_bson import RawBSONDocument
from bson.regex import Regex
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import OperationFailure

from worker.targets.mongo_select import Filter
from worker.targets.record_key import identity

MISSING = object()
Entry = tuple[Any, ...]
Wanted = Sequence[tuple[bytes, Any]]
"""Records as they would be, by the identity of their keys."""

_ALTERNATIVES = 200
"""In one query: more are slower to plan than two queries."""


@dataclass(frozen=True)
class UniqueIndex:
    """One unique index, beside that of the keys."""

    name: str
    fields: tuple[str, ...]
    is_sparse: bool
    partial: Filter | None
    collation: Mapping[str, Any] | None

    def entries(self, record: Any) -> list[Entry]:
        """What the index holds for a record: an array has an entry for each of its elements."""
        columns = [list(_values(record, name.split("."))) for name in self.fields]
        if self.is_sparse and all(column == [MISSING] for column in columns):
            return []
        known = ([None if value is MISSING else value for value in column] for column in columns)
        return list(product(*known))

    def mark(self, entry: Entry) -> Hashable:
        """Equal for entries that the index takes for one; under a collation, for some others too.

        To an index 1 and 1.0 are one value, and to Python as well.
        """
        return self.name, _mark(list(entry), is_folded=self.collation is not None)

    def covers(self, names: Iterable[str]) -> bool:
        """Whether writing these fields can change what the index holds."""
        return any(
            f"{own}.".startswith(f"{name}.") or f"{name}.".startswith(f"{own}.")
            for own in self.fields
            for name in names
        )


def unique_indexes(records: Collection[RawBSONDocument]) -> list[UniqueIndex]:
    """Asked outside of any transaction, in which MongoDB lists no indexes."""
    return [
        UniqueIndex(
            each["name"],
            tuple(each["key"]),
            bool(each.get("sparse")),
            each.get("partialFilterExpression"),
            each.get("collation"),
        )
        for each in records.list_indexes()
        if each.get("unique")
    ]


@dataclass
class UniqueValues:
    """The unique values of one collection, with those that records judged free will take."""

    records: Collection[RawBSONDocument]
    session: ClientSession | None
    indexes: Sequence[UniqueIndex]
    _claimed: dict[Hashable, tuple[Entry, ...]] = field(default_factory=dict, init=False)
    """Entries by their marks, where a mark does not say all."""

    def taken(self, wanted: Wanted, written: Mapping[bytes, Iterable[str]]) -> set[bytes]:
        """Which of these records another one stands in the way of.

        `written` names the fields of those that are there and only come back in part.
        """
        taken: set[bytes] = set()
        claims: dict[bytes, list[tuple[UniqueIndex, Entry]]] = {}
        for index in self.indexes:
            ours = [
                (key, record)
                for key, record in wanted
                if key not in taken and (key not in written or index.covers(written[key]))
            ]
            entries = {key: index.entries(record) for key, record in ours}
            suspects = self._held_by_others(index, entries)
            taken |= {key for key, record in ours if key in suspects and self._has(index, record)}
            if index.partial is None:
                for key in entries.keys() - taken:
                    claims.setdefault(key, []).extend((index, entry) for entry in entries[key])
        for key, _ in wanted:  # the first of two that want one value has it
            own = claims.get(key, [])
            if key in taken or any(self._is_claimed(*claim) for claim in own):
                taken.add(key)
            else:
                self._claim(own)
        return taken

    def _is_claimed(self, index: UniqueIndex, entry: Entry) -> bool:
        others = self._claimed.get(index.mark(entry))
        return others is not None and (not others or self._has_equal(index, entry, others))

    def _claim(self, claims: Iterable[tuple[UniqueIndex, Entry]]) -> None:
        for index, entry in claims:
            mark = index.mark(entry)
            more = () if index.collation is None else (entry,)
            self._claimed[mark] = (*self._claimed.get(mark, ()), *more)

    def _has_equal(self, index: UniqueIndex, entry: Entry, others: Sequence[Entry]) -> bool:
        """Whether one of these is the same to the collation, which the server alone knows."""
        pairs = [{"ours": list(entry), "other": list(other)} for other in others]
        is_same = {"$expr": {"$eq": ["$ours", "$other"]}}
        return self._finds_any(pairs, is_same, index.collation)

    def _held_by_others(
        self, index: UniqueIndex, entries: Mapping[bytes, list[Entry]]
    ) -> set[bytes]:
        wanted: dict[Hashable, list[bytes]] = {}
        for key, those in entries.items():
            for entry in those:
                wanted.setdefault(index.mark(entry), []).append(key)
        held: set[bytes] = set()
        is_plain = True
        for found in self._find(index, list(chain.from_iterable(entries.values()))):
            marks = {index.mark(entry) for entry in index.entries(found)}
            owner = identity(found["_id"])
            held |= {key for mark in marks & wanted.keys() for key in wanted[mark]} - {owner}
            is_plain = is_plain and index.collation is None and bool(marks & wanted.keys())
        if is_plain:
            return held
        # What is found by no mark, or by one that does not say all, is asked for by itself.
        return {key for key, those in entries.items() if self._is_held(index, key, those)}

    def _is_held(self, index: UniqueIndex, key: bytes, entries: list[Entry]) -> bool:
        return any(identity(found["_id"]) != key for found in self._find(index, entries))

    def _find(self, index: UniqueIndex, entries: list[Entry]) -> Iterator[RawBSONDocument]:
        for condition in _conditions(index, entries):
            partial = [index.partial] if index.partial is not None else []
            yield from self.records.find(
                {"$and": [*partial, condition]},
                dict.fromkeys(("_id", *index.fields), 1),
                session=self.session,
                hint=index.name,
                collation=index.collation,
            )

    def _has(self, index: UniqueIndex, record: Any) -> bool:
        """Whether a partial index would have the record; the server alone knows its own terms."""
        if index.partial is None:
            return True
        return self._finds_any([record], index.partial)

    def _finds_any(
        self, documents: list[Any], condition: Filter, collation: Mapping[str, Any] | None = None
    ) -> bool:
        # Without `$literal` a text such as "$5" would be the name of a field.
        stages: list[Filter] = [{"$documents": {"$literal": documents}}, {"$match": condition}]
        try:
            return bool(list(self.records.database.aggregate(stages, collation=collation)))
        except OperationFailure:  # before MongoDB 5.1; then the write itself reveals it
            return False


def _conditions(index: UniqueIndex, entries: list[Entry]) -> Iterator[Filter]:
    """Queries for whatever has one of these entries."""
    if len(index.fields) == 1 and not any(isinstance(value, Regex) for (value,) in entries):
        if entries:
            yield {index.fields[0]: {"$in": [value for (value,) in entries]}}
        return
    for start in range(0, len(entries), _ALTERNATIVES):
        yield {
            "$or": [
                {name: {"$eq": value} for name, value in zip(index.fields, entry, strict=True)}
                for entry in entries[start : start + _ALTERNATIVES]
            ]
        }


def _mark(value: Any, *, is_folded: bool) -> Hashable:
    if isinstance(value, Decimal128):
        value = value.to_decimal()
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool):
        return value if value == value else "not a number"  # noqa: PLR0124 - what NaN is not
    if isinstance(value, list):
        return tuple(_mark(each, is_folded=is_folded) for each in value)
    if isinstance(value, Mapping):
        inner = ((name, _mark(each, is_folded=is_folded)) for name, each in value.items())
        return "a document", *inner
    if is_folded and isinstance(value, str):
        apart = unicodedata.normalize("NFKD", value.casefold())
        value = "".join(sign for sign in apart if not unicodedata.combining(sign))
    return identity(value)


def _values(value: Any, parts: Sequence[str]) -> Iterator[Any]:
    """The values at a dotted name, through arrays on the way; `MISSING` if there is none."""
    if not parts:
        yield from value if isinstance(value, list) and value else [value]
    elif isinstance(value, list):
        inner = [each for each in value if hasattr(each, "get")]
        found = [each for record in inner for each in _values(record, parts)]
        yield from found or [MISSING]
    elif hasattr(value, "get"):
        yield from _values(value.get(parts[0], MISSING), parts[1:])
    else:
        yield MISSING
