"""Found items by the page: of most, a plan needs no more than the key and a date."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from itertools import chain
from typing import Any, overload

from jobs.base import Item


class RawPage(Sequence[Item]):
    """Documents as they are read quickest; one becomes an item when somebody looks at it.

    Their dates are in UTC and do not say so; an item's do.
    """

    def __init__(self, documents: list[dict[str, Any]]) -> None:
        self.documents = documents

    def __len__(self) -> int:
        return len(self.documents)

    def __iter__(self) -> Iterator[Item]:
        return map(_item, self.documents)

    @overload
    def __getitem__(self, place: int) -> Item: ...

    @overload
    def __getitem__(self, place: slice) -> "RawPage": ...

    def __getitem__(self, place: int | slice) -> "Item | RawPage":
        if isinstance(place, slice):
            return RawPage(self.documents[place])
        return _item(self.documents[place])


def keys_of(items: Sequence[Item]) -> list[Any]:
    if isinstance(items, RawPage):
        return [document["_id"] for document in items.documents]
    return [item.key for item in items]


def values_of(items: Sequence[Item], name: str) -> list[Any]:
    """One field of each, None where it is missing; dates in UTC may have no time zone."""
    if isinstance(items, RawPage):
        return [document.get(name) for document in items.documents]
    return [item.fields.get(name) for item in items]


def children_of(items: Sequence[Item]) -> list[Mapping[str, int]]:
    """The counts of what goes with them, of those with which anything does."""
    if isinstance(items, RawPage):
        return []
    return [item.children for item in items if item.children]


def regrouped(
    pages: Iterator[Sequence[Item]], size: int, limit: int | None
) -> Iterator[Sequence[Item]]:
    """The same items, but no more than `limit`, in pages of `size`; the last may be smaller."""
    parts: list[Sequence[Item]] = []
    count = 0
    for page in pages if limit is None else _first(pages, limit):
        start = 0
        while (end := start + size - count) <= len(page):
            yield _joined([*parts, page[start:end]])
            parts, count, start = [], 0, end
        if start < len(page):
            parts.append(page[start:])
            count += len(page) - start
    if parts:
        yield _joined(parts)


def _first(pages: Iterator[Sequence[Item]], limit: int) -> Iterator[Sequence[Item]]:
    left = limit
    while left > 0 and (page := next(pages, None)) is not None:
        yield page[:left]
        left -= len(page)


def _joined(pages: Sequence[Sequence[Item]]) -> Sequence[Item]:
    raw = [page.documents for page in pages if isinstance(page, RawPage)]
    if len(raw) == len(pages):
        return RawPage(list(chain.from_iterable(raw)))
    return list(chain.from_iterable(pages))


def _item(document: dict[str, Any]) -> Item:
    return Item(document["_id"], {name: _aware(value) for name, value in document.items()})


def _aware(value: Any) -> Any:
    """Give the dates in a value, or in what it holds, the time zone that they are in: UTC."""
    kind = type(value)
    if kind is datetime:
        return value.replace(tzinfo=UTC)
    if kind is dict:
        return {name: _aware(each) for name, each in value.items()}
    if kind is list:
        return [_aware(each) for each in value]
    return value
