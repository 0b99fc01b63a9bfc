"""The short cut for pages of ObjectIds says the same as decoding them, or nothing."""

from typing import Any

import bson
from bson import ObjectId
from hypothesis import given
from hypothesis import strategies as st

from worker.targets.mongo_pages import ahead, object_ids

ids = st.binary(min_size=12, max_size=12).map(ObjectId)
others = st.one_of(
    st.integers(-(2**63), 2**63 - 1),
    st.text(max_size=20),
    st.none(),
    st.binary(max_size=14),
    st.floats(),
)
pages = st.lists(
    st.one_of(
        ids.map(lambda key: {"_id": key}),
        others.map(lambda key: {"_id": key}),
        ids.map(lambda key: {"key": key}),
        st.tuples(ids, others).map(lambda pair: {"_id": pair[0], "more": pair[1]}),
    ),
    max_size=6,
)


@given(pages)
def test_a_page_with_anything_else_is_left_to_the_decoder(documents: list[dict[str, Any]]) -> None:
    page = b"".join(map(bson.encode, documents))
    found = object_ids(page)
    is_plain = all(set(each) == {"_id"} and type(each["_id"]) is ObjectId for each in documents)
    expected = [each["_id"].binary for each in documents] if is_plain and documents else None
    assert found == expected


@given(st.lists(st.integers()))
def test_reading_ahead_changes_nothing(numbers: list[int]) -> None:
    assert list(ahead(iter(numbers))) == numbers
