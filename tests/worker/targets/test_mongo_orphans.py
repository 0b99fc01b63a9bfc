"""`not_in` on MongoDB, beside a plain oracle: keys of every type, with an index and without."""

import math
from collections import Counter
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from bson import Binary, Code, Decimal128, Int64, MaxKey, MinKey, ObjectId, Regex, Timestamp
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.collation import Collation
from pymongo.database import Database

from tests.examples import examples
from tests.worker.scenario import NOW
from tests.worker.targets.shops import Hand, deletes, words
from worker.archive import ArchiveStore
from worker.errors import IndexMissing, ParentUnusable
from worker.targets import mongo_orphans
from worker.targets.mongo import MongoTarget

Shop = Database[dict[str, Any]]
ORPHANS = words(not_in={"field": "userId", "parent": "users"})
ABSENT = object()
OLD_ID = ObjectId.from_datetime(NOW - timedelta(days=1))

KEYS: dict[str, list[Any]] = {
    "objectId": [OLD_ID, ObjectId("65" * 12)],
    "string": ["", "1", "a", "A", "ä"],
    "int": [-1, 0, 1, 2],
    "long": [Int64(1), 2**53, 2**53 + 1],
    "double": [0.0, -0.0, 0.1, 1.0, 2.5, float(2**53), math.inf, -math.inf],
    "decimal": [Decimal128("0.1"), Decimal128("1.00"), Decimal128("-Infinity")],
    "binData": [b"x", Binary(b"x", 4), Binary(b"x", 128), b""],
    "date": [datetime(1902, 3, 4, tzinfo=UTC), NOW],
}
NO_KEYS: dict[str, list[Any]] = {
    "null": [None],
    "missing": [ABSENT],
    "nan": [math.nan, Decimal128("NaN"), Decimal128("sNaN")],
    "bool": [True, False],
    "object": [{}, {"a": 1}, {"$in": [1]}],
    "array": [[], ["a"], [OLD_ID, 1]],
    "regex": [Regex("a")],
    "timestamp": [Timestamp(1, 1)],
    "javascript": [Code("a")],
    "minKey": [MinKey()],
    "maxKey": [MaxKey()],
}
NUMBERS = {"int", "long", "double", "decimal"}
KEY = st.sampled_from([(name, key) for name, keys in KEYS.items() for key in keys])
ANY = st.one_of(
    KEY, st.sampled_from([(name, key) for name, keys in NO_KEYS.items() for key in keys])
)


@pytest.fixture
def target(mongo_url: str, mongo_read_url: str) -> Iterator[MongoTarget]:
    target = MongoTarget(mongo_url, mongo_read_url)
    yield target
    target.close()


@pytest.fixture
def hand(target: MongoTarget, tmp_path: Path) -> Hand:
    return Hand(target, ArchiveStore(f"file://{tmp_path}/archive"), collection="sales")


def family(name: str) -> str:
    return "number" if name in NUMBERS else name


def same(left: tuple[str, Any], right: tuple[str, Any]) -> bool:
    """Whether MongoDB's manual calls two keys equal."""
    if family(left[0]) != family(right[0]):
        return False
    if left[0] in NUMBERS:
        return exactly(left[1]) == exactly(right[1])
    if left[0] == "binData":
        return Binary(left[1], getattr(left[1], "subtype", 0)) == Binary(
            right[1], getattr(right[1], "subtype", 0)
        )
    return bool(left[1] == right[1])


def exactly(number: Any) -> Decimal:
    return number.to_decimal() if isinstance(number, Decimal128) else Decimal(number)


def fill(shop: Shop, parents: list[Any], children: list[Any], *, index: bool = True) -> None:
    shop.drop_collection("users")
    shop.drop_collection("sales")
    shop.create_collection("sales")
    if index:
        shop.sales.create_index("userId")
    if parents:
        shop.users.insert_many([{"_id": key} for key in parents])
    if children:
        shop.sales.insert_many(
            [
                {"_id": number, **({} if key is ABSENT else {"userId": key})}
                for number, key in enumerate(children)
            ]
        )


@settings(
    max_examples=examples(80),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    parents=st.lists(KEY, min_size=1, max_size=6),
    children=st.lists(ANY, max_size=25),
    index=st.booleans(),
)
def test_exactly_the_orphans_go_and_the_rest_is_reported(
    mongo_database: Shop,
    hand: Hand,
    parents: list[tuple[str, Any]],
    children: list[tuple[str, Any]],
    index: bool,
) -> None:
    distinct: list[tuple[str, Any]] = []
    for parent in parents:
        if not any(same(parent, other) for other in distinct):
            distinct.append(parent)
    families = {family(name) for name, _ in distinct}
    orphans = [
        number
        for number, child in enumerate(children)
        if family(child[0]) in families and not any(same(child, parent) for parent in distinct)
    ]
    reported = Counter(
        name if name in {"null", "missing", "nan"} else f"type_{name}"
        for name, _ in children
        if family(name) not in families
    )
    fill(mongo_database, [key for _, key in distinct], [key for _, key in children], index=index)

    assert hand.keys(ORPHANS, scan=True) == orphans
    assert hand.target.count("sales", ORPHANS, NOW) == len(orphans)
    some = list(range(0, len(children), 2))
    assert hand.target.count_of("sales", ORPHANS, NOW, some) == len({*some} & {*orphans})
    assert hand.target.reported("sales", ORPHANS, NOW) == reported
    if not children:
        return
    done = hand.change(list(range(len(children))), ORPHANS, deletes, name=f"run/{ObjectId()}/0")
    assert (done.outcomes.changed, done.outcomes.changed_since) == (
        len(orphans),
        len(children) - len(orphans),
    )
    assert sorted(mongo_database.sales.distinct("_id")) == [
        number for number in range(len(children)) if number not in orphans
    ]


def test_more_keys_than_one_slice_holds_are_each_looked_up_once(
    mongo_database: Shop, hand: Hand, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(mongo_orphans, "SLICE", 7)
    for index in (True, False):
        fill(mongo_database, list(range(0, 100, 3)), [*range(100), *range(100)], index=index)
        found = hand.keys(ORPHANS, scan=True)
        assert found == [number for number in range(200) if number % 100 % 3]


def test_long_keys_are_looked_up_a_few_at_a_time(mongo_database: Shop, hand: Hand) -> None:
    """Eighteen keys of 1 MB each would not fit into one command."""
    keys = [f"{number:02}" + "k" * 1_000_000 for number in range(18)]
    fill(mongo_database, keys[::2], [])
    for number, key in enumerate(keys):
        mongo_database.sales.insert_one({"_id": number, "userId": key})
    assert hand.keys(ORPHANS) == list(range(1, 18, 2))


def test_large_children_are_judged_without_being_read(mongo_database: Shop, hand: Hand) -> None:
    fill(mongo_database, [1], [1, 2])
    mongo_database.sales.update_many({}, {"$set": {"blob": b"\0" * 15_000_000}})
    (item,) = hand.select(ORPHANS)
    assert (item.key, set(item.fields)) == (1, {"_id", "userId"})
    done = hand.change([0, 1], ORPHANS, deletes, size=16_000_000)
    assert (done.outcomes.changed, done.outcomes.changed_since) == (1, 1)


def test_a_list_in_one_record_costs_the_quick_walk_and_nothing_else(
    mongo_database: Shop, hand: Hand
) -> None:
    fill(mongo_database, [1, 2], [1, [3, 4], 3, [1], 3])
    assert hand.keys(ORPHANS) == [2, 4]
    assert hand.target.reported("sales", ORPHANS, NOW) == {"type_array": 2}


@pytest.mark.parametrize("options", [{"sparse": True}, {"partialFilterExpression": {"n": 1}}])
def test_an_index_that_leaves_records_out_is_not_walked(
    mongo_database: Shop, hand: Hand, options: dict[str, Any]
) -> None:
    fill(mongo_database, [1], [1, 2, None, ABSENT], index=False)
    mongo_database.sales.create_index("userId", **options)
    assert hand.keys(ORPHANS, scan=True) == [1]
    assert hand.target.reported("sales", ORPHANS, NOW) == {"missing": 1, "null": 1}


def test_an_index_that_begins_with_the_key_is_walked(mongo_database: Shop, hand: Hand) -> None:
    fill(mongo_database, [1], [1, 2, 3, 3], index=False)
    mongo_database.sales.create_index([("userId", 1), ("createdAt", -1)])
    assert hand.keys(ORPHANS) == [1, 2, 3]


def test_both_sides_need_an_index(mongo_database: Shop, hand: Hand) -> None:
    fill(mongo_database, [1], [1], index=False)
    with pytest.raises(IndexMissing, match=r'db\.sales\.createIndex\({"userId": 1}\);'):
        hand.keys(ORPHANS)
    by_name = words(not_in={"field": "userId", "parent": "users", "key": "profile.name"})
    mongo_database.sales.create_index("userId")
    with pytest.raises(IndexMissing, match=r'db\.users\.createIndex\({"profile\.name": 1}\);'):
        hand.keys(by_name)


def test_parents_can_have_another_key_even_several_in_a_list(
    mongo_database: Shop, hand: Hand
) -> None:
    fill(mongo_database, [], ["a", "b", "c", "d"])
    mongo_database.users.insert_many(
        [{"profile": {"name": "a"}}, {"profile": {"name": ["b", "x"]}}, {"profile": 1}, {}]
    )
    mongo_database.users.create_index("profile.name")
    by_name = words(not_in={"field": "userId", "parent": "users", "key": "profile.name"})
    assert hand.keys(by_name) == [2, 3]


def test_a_key_below_a_list_is_none(mongo_database: Shop, hand: Hand) -> None:
    fill(mongo_database, [1], [{"id": 2}, [{"id": 1}, {"id": 2}], {"id": 1}, 5], index=False)
    mongo_database.sales.create_index("userId.id")
    nested = words(not_in={"field": "userId.id", "parent": "users"})
    assert hand.keys(nested) == [0]
    done = hand.change([0, 1, 2, 3], nested, deletes)
    assert done.outcomes.changed == 1


def test_a_record_that_took_on_a_list_of_keys_since_the_plan_stays(
    mongo_database: Shop, hand: Hand
) -> None:
    """Its list holds the key of another record in the batch, which does go."""
    fill(mongo_database, [1], [2, [2, 1]], index=False)
    assert hand.change([0, 1], ORPHANS, deletes).outcomes.counts[:2] == (1, 1)


def test_other_conditions_narrow_what_is_found_and_what_is_reported(
    mongo_database: Shop, hand: Hand
) -> None:
    fill(mongo_database, [1], [2, 2, None, None])
    mongo_database.sales.update_many({"_id": {"$in": [0, 2]}}, {"$set": {"kept": True}})
    kept = {"equals": {"field": "kept", "value": True}}
    free = words(all=[{"not_in": {"field": "userId", "parent": "users"}}, {"none": [kept]}])
    assert hand.keys(free) == [1]
    assert hand.target.reported("sales", free, NOW) == {"null": 1}


def test_without_a_not_in_nothing_is_reported_and_there_are_no_parents(hand: Hand) -> None:
    old = words(older_than={"field": "at", "age": "1d"})
    assert hand.target.reported("sales", old, NOW) == {}
    assert hand.target.parents("sales", old) == {}


# Whether the parents can be believed.


def test_parents_are_counted(mongo_database: Shop, hand: Hand) -> None:
    fill(mongo_database, [1, 2, 3], [4])
    assert hand.target.parents("sales", ORPHANS) == {"users": 3}


def test_a_missing_parent_collection_is_refused(mongo_database: Shop, hand: Hand) -> None:
    fill(mongo_database, [], [1])
    with pytest.raises(ParentUnusable, match="users does not exist, so every record of sales"):
        hand.target.parents("sales", ORPHANS)
    with pytest.raises(ParentUnusable):
        hand.keys(ORPHANS, scan=True)


def test_an_empty_parent_collection_is_refused(mongo_database: Shop, hand: Hand) -> None:
    fill(mongo_database, [1], [1])
    mongo_database.users.delete_many({})
    with pytest.raises(ParentUnusable, match="holds no record with a key in _id"):
        hand.target.parents("sales", ORPHANS)


def test_parents_without_the_key_are_as_good_as_none(mongo_database: Shop, hand: Hand) -> None:
    fill(mongo_database, [1], [1])
    mongo_database.users.create_index("legacyId")
    by_legacy = words(not_in={"field": "userId", "parent": "users", "key": "legacyId"})
    with pytest.raises(ParentUnusable, match="no record with a key in legacyId"):
        hand.target.parents("sales", by_legacy)


def test_a_view_is_no_parent(mongo_database: Shop, hand: Hand) -> None:
    fill(mongo_database, [1], [1])
    mongo_database.create_collection("active", viewOn="users", pipeline=[])
    of_view = words(not_in={"field": "userId", "parent": "active"})
    with pytest.raises(ParentUnusable, match="active is a view"):
        hand.target.parents("sales", of_view)


@pytest.mark.parametrize("name", ["users", "sales"])
def test_keys_under_a_collation_are_not_judged(mongo_database: Shop, hand: Hand, name: str) -> None:
    mongo_database.create_collection(name, collation=Collation("en", strength=2))
    mongo_database.users.insert_one({"_id": "anna"})
    mongo_database.sales.insert_one({"userId": "Anna"})
    with pytest.raises(ParentUnusable, match=f"{name} has a collation"):
        hand.target.parents("sales", ORPHANS)


def test_parents_that_vanish_before_the_write_save_every_child(
    mongo_database: Shop, hand: Hand
) -> None:
    fill(mongo_database, [1], [2, 3])
    assert hand.keys(ORPHANS) == [0, 1]
    mongo_database.users.drop()
    assert hand.change([0, 1], ORPHANS, deletes).outcomes.counts[:2] == (0, 2)


def test_an_object_id_in_the_key_is_the_date_it_was_made_at(
    mongo_database: Shop, hand: Hand
) -> None:
    fill(mongo_database, [1], [])
    ids = [ObjectId.from_datetime(NOW - timedelta(seconds=seconds)) for seconds in (3599, 3601)]
    mongo_database.sales.insert_many([{"_id": key} for key in [*ids, "text", 17]])
    old = words(older_than={"field": "_id", "age": "1h"})
    assert [item.key for item in hand.select(old)] == [ids[1]]
    assert hand.keys(words(older_than={"field": "_id", "age": "200y"})) == []
