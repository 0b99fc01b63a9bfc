"""Unique indexes of every kind: a preview foresees what an undo meets, and neither overwrites."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

import pytest
from bson.decimal128 import Decimal128
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo import IndexModel, MongoClient
from pymongo.collation import Collation
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from tests.examples import examples
from tests.worker.targets.shops import Hand, deletes, words, writes
from worker.archive import ArchiveStore
from worker.targets.base import BatchRecord
from worker.targets.mongo import MongoTarget

ANY = words(none=[{"equals": {"field": "nothing", "value": "here"}}])
INDEXES = {
    "plain": IndexModel([("a", 1)], unique=True),
    "sparse": IndexModel([("a", 1)], unique=True, sparse=True),
    "compound": IndexModel([("a", 1), ("b", -1)], unique=True),
    "sparse compound": IndexModel([("a", 1), ("b", 1)], unique=True, sparse=True),
    "nested": IndexModel([("n.a", 1)], unique=True),
    "partial": IndexModel([("a", 1)], unique=True, partialFilterExpression={"b": {"$gte": 1}}),
    "any case": IndexModel([("a", 1)], unique=True, collation=Collation("en", strength=2)),
}
VALUES = st.sampled_from([None, 1, 1.0, 2, "x", "X", [1, 2], [2, 3], ["x"]])
RECORD = st.fixed_dictionaries(
    {},
    optional={
        "a": VALUES,
        "b": st.sampled_from([0, 1, 2]),
        "n": st.sampled_from([{}, {"a": 1}, [{"a": 1}, {"a": 3}], {"a": "x"}, 5]),
    },
)
KEYS = range(8)
EDIT = st.tuples(st.sampled_from(KEYS), st.sampled_from(["put", "remove"]), RECORD)


@pytest.fixture
def target(mongo_url: str, mongo_read_url: str) -> Iterator[MongoTarget]:
    target = MongoTarget(mongo_url, mongo_read_url)
    yield target
    target.close()


def edit(shop: Any, key: int, what: str, record: dict[str, Any]) -> None:
    """What an application does, as far as its indexes let it."""
    try:
        if what == "remove":
            shop.delete_one({"_id": key})
        else:
            shop.replace_one({"_id": key}, record, upsert=True)
    except DuplicateKeyError:
        pass


SERIAL = count()


@pytest.mark.parametrize("kind", INDEXES)
@settings(
    max_examples=examples(20),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(
    before=st.lists(st.tuples(st.sampled_from(KEYS), RECORD), max_size=8),
    first=st.sets(st.sampled_from(KEYS), min_size=1),
    between=st.lists(EDIT, max_size=4),
    second=st.sets(st.sampled_from(KEYS), min_size=1),
    after=st.lists(EDIT, max_size=6),
    written=st.none() | VALUES,
)
def test_an_undo_does_what_its_preview_said_and_overwrites_nothing(
    kind: str,
    target: MongoTarget,
    mongo_database: Database[dict[str, Any]],
    tmp_path: Path,
    before: list[tuple[int, dict[str, Any]]],
    first: set[int],
    between: list[tuple[int, str, dict[str, Any]]],
    second: set[int],
    after: list[tuple[int, str, dict[str, Any]]],
    written: Any,
) -> None:
    name = f"shop{next(SERIAL)}"
    shop = mongo_database[name]
    shop.create_indexes([INDEXES[kind]])
    hand = Hand(target, ArchiveStore(f"file://{tmp_path}/{name}"), name)
    for key, record in before:
        edit(shop, key, "put", record)
    batches = [hand.change(sorted(first), ANY, deletes, name=f"{name}/apply/0")]
    for step in between:
        edit(shop, *step)
    batches += taken_away(hand, sorted(second - first), written, f"{name}/apply/1")
    for step in after:
        edit(shop, *step)

    left = {record["_id"]: record for record in shop.find()}
    preview = hand.preview(*batches)
    told: dict[Any, Any] = {}
    for number, done in enumerate(batches):
        told |= hand.told(hand.undo(done, f"{name}/undo/{number}"))
    assert told == preview
    for key, record in left.items():
        if told.get(key, ("conflict", None))[0] == "conflict":
            assert shop.find_one({"_id": key}) == record
    restored = {key for key, (outcome, _) in told.items() if outcome == "restored"}
    assert {record["_id"] for record in shop.find()} == left.keys() | restored


def test_a_partial_index_stands_in_the_way_of_its_own_records_alone(
    target: MongoTarget, mongo_database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    shop = mongo_database.shop
    shop.create_indexes([INDEXES["partial"]])
    shop.insert_many([{"_id": 0, "a": "x", "b": 0}, {"_id": 1, "a": "y", "b": 1}])
    hand = Hand(target, ArchiveStore(f"file://{tmp_path}/archive"), "shop")
    done = hand.change([0, 1], ANY, deletes)
    shop.insert_many([{"_id": 2, "a": "x", "b": 1}, {"_id": 3, "a": "y", "b": 2}])
    assert hand.preview(done) == {0: ("restored", None), 1: ("conflict", "key_taken")}
    hand.undo(done)
    assert shop.distinct("_id") == [0, 2, 3]


@pytest.mark.parametrize(("value", "other"), [(1.0, 1), ({"b": 4}, {"b": Decimal128("4.0")})])
def test_to_a_unique_index_a_number_is_one_value_whatever_its_type(
    target: MongoTarget,
    mongo_database: Database[dict[str, Any]],
    tmp_path: Path,
    value: Any,
    other: Any,
) -> None:
    shop = mongo_database.shop
    shop.create_indexes([INDEXES["plain"]])
    hand = Hand(target, ArchiveStore(f"file://{tmp_path}/archive"), "shop")
    shop.insert_many([{"_id": 0, "a": value}, {"_id": 1, "a": [2, 3]}])
    done = hand.change([0, 1], ANY, deletes)
    shop.insert_one({"_id": 2, "a": [other, 2]})  # what is found stands in the way of both
    assert hand.preview(done) == dict.fromkeys([0, 1], ("conflict", "key_taken"))
    hand.undo(done)
    assert shop.distinct("_id") == [2]


@pytest.mark.parametrize(
    ("kind", "first", "second"),
    [
        ("plain", 1, 1.0),
        ("plain", float("nan"), Decimal128("NaN")),
        ("plain", [1, 2], [3, 2.0]),
        ("any case", "x", "X"),
        ("any case", "$x", "$X"),
        ("any case", "\u00e9", "E\u0301"),
    ],
)
def test_of_two_batches_that_want_one_unique_value_the_first_has_it(
    target: MongoTarget,
    mongo_database: Database[dict[str, Any]],
    tmp_path: Path,
    kind: str,
    first: Any,
    second: Any,
) -> None:
    hand = Hand(target, ArchiveStore(f"file://{tmp_path}/archive"), "shop")
    mongo_database.shop.create_indexes([INDEXES[kind]])
    batches = []
    for key, value in enumerate([first, second, "e"]):
        mongo_database.shop.insert_one({"_id": key, "a": value})
        batches.append(hand.change([key], ANY, deletes, name=f"run/apply/{key}"))
    preview = hand.preview(*batches)
    assert preview == {0: ("restored", None), 1: ("conflict", "key_taken"), 2: ("restored", None)}
    for key, done in enumerate(batches):
        assert hand.told(hand.undo(done, f"run/undo/{key}")) == {key: preview[key]}


def test_what_a_collation_tells_apart_comes_back_side_by_side(
    target: MongoTarget, mongo_database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    shop = mongo_database.shop
    shop.create_indexes([INDEXES["any case"]])
    shop.insert_many([{"_id": 0, "a": "straße"}, {"_id": 1, "a": "STRASSE"}])
    hand = Hand(target, ArchiveStore(f"file://{tmp_path}/archive"), "shop")
    hand.undo(hand.change([0, 1], ANY, deletes))
    assert shop.distinct("_id") == [0, 1]


def test_where_nothing_stands_in_the_way_a_collation_costs_no_look_for_each_record(
    target: MongoTarget,
    mongo_database: Database[dict[str, Any]],
    mongo_admin: MongoClient[dict[str, Any]],
    tmp_path: Path,
) -> None:
    shop = mongo_database.shop
    shop.create_indexes([INDEXES["any case"]])
    shop.insert_many([{"_id": key, "a": f"name {key}"} for key in range(30)])
    hand = Hand(target, ArchiveStore(f"file://{tmp_path}/archive"), "shop")
    done = hand.change(list(range(30)), ANY, deletes)
    seen = mongo_admin[mongo_database.name]
    seen.command("profile", 2)
    assert set(hand.preview(done).values()) == {("restored", None)}
    assert seen["system.profile"].count_documents({"command.hint": "a_1"}) == 1


def test_a_text_with_a_dollar_is_no_field_to_a_partial_index(
    target: MongoTarget, mongo_database: Database[dict[str, Any]], tmp_path: Path
) -> None:
    shop = mongo_database.shop
    shop.create_index("a", unique=True, partialFilterExpression={"price": {"$exists": True}})
    shop.insert_one({"_id": 0, "a": "x", "price": "$5"})
    hand = Hand(target, ArchiveStore(f"file://{tmp_path}/archive"), "shop")
    done = hand.change([0], ANY, deletes)
    shop.insert_one({"_id": 1, "a": "x", "price": "$6"})
    assert hand.preview(done) == {0: ("conflict", "key_taken")}
    hand.undo(done)
    assert shop.distinct("_id") == [1]


def taken_away(hand: Hand, keys: list[int], written: Any, name: str) -> list[BatchRecord]:
    """A second batch that deletes, or writes a value that its unique index allows."""
    if not keys:
        return []
    if written is None:
        return [hand.change(keys, ANY, deletes, name=name)]
    try:
        return [hand.change(keys[:1], ANY, writes(a=written), name=name)]
    except Exception as error:  # noqa: BLE001 - whatever the target calls a duplicate
        assert "refused the operation" in str(error)  # noqa: PT017 - its kind is not the point
        return []
