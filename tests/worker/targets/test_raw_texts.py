"""Texts read from the bytes of a document, against the driver's own decoding."""

from datetime import UTC, datetime
from typing import Any

import bson
import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, ObjectId, Regex, Timestamp
from hypothesis import example, given
from hypothesis import strategies as st

from worker.targets.raw_texts import texts_of

told = st.one_of(
    st.binary(min_size=12, max_size=12).map(ObjectId),
    st.text(max_size=5),
    st.integers(-(2**31), 2**31 - 1),
    st.integers(-(2**63), 2**63 - 1).map(Int64),
    st.none(),
)
passed = st.one_of(
    st.floats(),
    st.booleans(),
    st.binary(max_size=5),
    st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1)),  # noqa: DTZ001 - the strategy's own
    st.lists(st.integers(-9, 9), max_size=3),
    st.dictionaries(st.sampled_from("ab"), st.integers(-9, 9), max_size=2),
    st.just(Decimal128("7.0")),
    st.just(Timestamp(7, 1)),
    st.just(Binary(b"7", 5)),
)
strange = st.sampled_from([Regex("a"), MaxKey(), Code("a", {"b": 1})])
NAMES = ("_id", "userId", "storeId", "a", "é")
documents = st.dictionaries(st.sampled_from(NAMES), st.one_of(told, passed, strange), max_size=5)
wanted = st.sets(st.sampled_from([*NAMES, "absent"]), max_size=3)


@given(documents, wanted)
@example({"a": "userId\0", "userId": 7}, {"userId"})
def test_what_is_read_is_the_text_of_what_the_driver_decodes(
    document: dict[str, Any], names: set[str]
) -> None:
    texts = texts_of(bson.encode(document), {name.encode() for name in names})
    if texts is None:
        assert any(type(value) not in _TOLD for value in document.values())
        return
    found = {name: document[name] for name in names if name in document}
    text = {name: None if value is None else str(value) for name, value in found.items()}
    assert {name.decode(): one for name, one in texts.items()} == text


_TOLD = {ObjectId, str, int, Int64, type(None)}


@pytest.mark.parametrize("value", [7.5, True, datetime(2026, 1, 1, tzinfo=UTC), [7], {}])
def test_a_value_of_another_type_is_left_to_the_driver(value: Any) -> None:
    assert texts_of(bson.encode({"userId": value}), {b"userId"}) is None


def test_what_comes_after_all_that_was_asked_for_is_not_looked_at() -> None:
    raw = bson.encode({"userId": 7, "strange": Regex("a")})
    assert texts_of(raw, {b"userId"}) == {b"userId": "7"}
    assert texts_of(raw, {b"userId", b"other"}) is None
