"""Documents by the page are those that pymongo itself would give, in their order."""

from datetime import UTC, datetime
from itertools import chain
from typing import Any

import pytest
from bson import ObjectId
from bson.codec_options import CodecOptions, DatetimeConversion
from bson.datetime_ms import DatetimeMS
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from jobs.base import Item
from tests.examples import examples
from worker.targets import mongo_pages
from worker.targets.mongo_pages import ahead, pages
from worker.targets.page import RawPage

OPTIONS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
MOMENTS = st.one_of(
    st.datetimes(timezones=st.just(UTC)).map(lambda each: each.replace(microsecond=0)),
    st.integers(-(2**62), 2**62).map(DatetimeMS),
)
VALUES = st.recursive(
    st.one_of(MOMENTS, st.integers(-9, 9), st.text(max_size=3), st.none()),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(st.text("abc", min_size=1, max_size=2), inner, max_size=3),
    ),
    max_leaves=6,
)


@settings(max_examples=examples(30), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(VALUES, max_size=7))
def test_dates_have_their_time_zone_wherever_they_are_in_an_item(
    mongo_database: Database[dict[str, Any]], values: list[Any]
) -> None:
    collection = mongo_database.get_collection("sales", OPTIONS)
    collection.delete_many({})
    if values:
        collection.insert_many([{"value": value} for value in values])
    read = pages(collection, {}, {}, sort=[("_id", 1)])
    found = [item for page in read for item in RawPage(page)]
    expected = collection.find({}, sort=[("_id", 1)])
    assert found == [Item(record["_id"], record) for record in expected]


def test_every_page_is_read_and_the_fields_are_those_asked_for(
    mongo_database: Database[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_pages, "PAGE", 3)
    collection = mongo_database.get_collection("sales", OPTIONS)
    keys = [ObjectId() for _ in range(10)]
    moment = datetime(2026, 1, 2, tzinfo=UTC)
    collection.insert_many([{"_id": key, "date": moment, "more": 1} for key in keys])
    found = list(pages(collection, {}, {"date": 1}, sort=[("_id", 1)], max_time_ms=5_000))
    assert list(map(len, found)) == [3, 3, 3, 1]
    naive = moment.replace(tzinfo=None)
    assert list(chain.from_iterable(found)) == [{"_id": key, "date": naive} for key in keys]


@given(st.lists(st.integers()))
def test_reading_ahead_changes_nothing(numbers: list[int]) -> None:
    assert list(ahead(iter(numbers))) == numbers
