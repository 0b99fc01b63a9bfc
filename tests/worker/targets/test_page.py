"""Pages, whole or raw, say of their items what a plain list of them would say."""

from datetime import UTC, datetime
from itertools import chain
from typing import Any

from bson import Int64
from hypothesis import given
from hypothesis import strategies as st

from jobs.base import Delete, Item
from worker.planner import unique
from worker.survey import Survey
from worker.targets.page import RawPage, children_of, keys_of, regrouped, values_of

VALUES = st.one_of(st.datetimes(), st.integers(-2, 2), st.none(), st.just("2015-01-01"))
DOCUMENTS = st.lists(
    st.fixed_dictionaries(
        {"_id": st.one_of(st.integers(0, 40), st.sampled_from([1.0, True, Int64(3), {"a": 1}]))},
        optional={"at": VALUES, "deep": st.lists(st.dictionaries(st.just("at"), VALUES))},
    ),
    max_size=30,
)
PAGES = st.lists(DOCUMENTS, max_size=8)


def plain(documents: list[dict[str, Any]]) -> list[Item]:
    return [Item(document["_id"], zoned(document)) for document in documents]


def zoned(value: Any) -> Any:
    match value:
        case datetime():
            return value.replace(tzinfo=UTC)
        case dict():
            return {name: zoned(each) for name, each in value.items()}
        case list():
            return [zoned(each) for each in value]
    return value


@given(DOCUMENTS)
def test_a_raw_page_is_the_list_of_its_items(documents: list[dict[str, Any]]) -> None:
    page, items = RawPage(documents), plain(documents)
    assert list(page) == items
    assert [page[place] for place in range(len(page))] == items
    assert list(page[1:-1]) == items[1:-1]
    assert keys_of(page) == keys_of(items)
    assert [zoned(value) for value in values_of(page, "at")] == values_of(items, "at")
    assert children_of(page) == children_of(items) == []


@given(DOCUMENTS)
def test_looking_at_an_item_leaves_its_page_as_it_was(documents: list[dict[str, Any]]) -> None:
    before = repr(documents)
    page = RawPage(documents)
    assert list(page) == list(page)
    assert repr(documents) == before


@given(DOCUMENTS)
def test_what_was_met_twice_is_once_in_either_kind_of_page(documents: list[dict[str, Any]]) -> None:
    by_key = {(type(each["_id"]), repr(each["_id"])): each for each in documents}
    known = list(by_key.values())
    assert list(unique(RawPage(documents))) == list(unique(plain(documents))) == plain(known)


@given(PAGES, st.integers(1, 50), st.none() | st.integers(0, 60), st.booleans())
def test_pages_of_another_size_hold_the_same_items(
    pages: list[list[dict[str, Any]]], size: int, limit: int | None, is_raw: bool
) -> None:
    made = map(RawPage, pages) if is_raw else map(plain, pages)
    found = list(regrouped(made, size, limit))
    every = plain(list(chain.from_iterable(pages)))[:limit]
    assert list(chain.from_iterable(found)) == every
    assert list(map(len, found)) == [
        len(every[at : at + size]) for at in range(0, len(every), size)
    ]


def test_no_page_is_read_once_the_limit_is_reached() -> None:
    asked = iter([[Item(1, {}), Item(2, {})], [Item(3, {})], [Item(4, {})]])
    assert [keys_of(page) for page in regrouped(asked, 9, 3)] == [[1, 2, 3]]
    assert next(asked) == [Item(4, {})]


@given(PAGES, st.sampled_from(["at", "_id", None]))
def test_a_survey_of_raw_pages_is_that_of_the_items_in_them(
    pages: list[list[dict[str, Any]]], dated_by: str | None
) -> None:
    raw, items = Survey(7, dated_by), Survey(7, dated_by)
    for documents in pages:
        raw.add(RawPage(documents), [Delete()] * len(documents))
        items.add(plain(documents), [Delete()] * len(documents))
    assert raw.as_json() == items.as_json()
    assert raw.sample_as_json() == items.sample_as_json()
    assert raw.planned == items.planned
