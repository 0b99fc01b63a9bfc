"""Records moved aside, on every kind of target: with their reason, and home again."""

import json
import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from jobs.base import Outcomes, Quarantine, Record
from tests.worker.scenario import NOW
from tests.worker.targets.shops import Hand, MongoShop, Shop, Site, SqlShop, without, words
from worker.errors import CollectionMissing, TargetError
from worker.targets.quarantine import Origin

NEGATIVE = words(less_than={"field": "stock", "value": 0})
ORIGIN = Origin(policy="odd-stock", run="r-7", at=NOW.replace(microsecond=123456))
FULL = {"sku": "s-1", "price": 1.25, "updated": NOW, "active": False, "name": "ünï\ncode"}


def moves(_record: Record) -> Quarantine:
    return Quarantine(("stock:negative", "price:above"), timedelta(days=90))


@pytest.fixture
def hand(hand: Hand, shop: Shop) -> Hand:
    hand.origin = ORIGIN
    if isinstance(shop, SqlShop):
        with pytest.raises(CollectionMissing) as refused:
            shop.target.check_quarantine("products")
        create(shop, str(refused.value))
    shop.target.check_quarantine("products")
    return hand


def create(shop: SqlShop, sentence: str) -> None:
    """Run the statements that a refusal names."""
    with shop.engine.begin() as connection:
        for statement in re.findall(r"CREATE [^;]*;", sentence):
            connection.execute(text(statement))


def copies(shop: Shop) -> dict[Any, dict[str, Any]]:
    """Every quarantined copy by its record's key, the record as what it is."""
    if isinstance(shop, MongoShop):
        return {each["key"]: each for each in shop.database.products_quarantine.find()}
    assert isinstance(shop, SqlShop)
    with shop.engine.connect() as connection:
        rows = connection.execute(text("SELECT * FROM products_quarantine")).mappings().all()
    return {
        json.loads(row["key"]): {**row, "record": json.loads(row["record"]), "_id": row["id"]}
        for row in rows
    }


def forge(shop: Shop, statement: str, update: dict[str, Any] | None) -> None:
    """What a person does to a copy."""
    if isinstance(shop, MongoShop):
        place = shop.database.products_quarantine
        place.delete_one({"key": 2}) if update is None else place.update_one({"key": 2}, update)
    elif isinstance(shop, SqlShop):
        with shop.engine.begin() as connection:
            connection.execute(text(statement))


def test_a_record_is_moved_with_the_reason(shop: Shop, hand: Hand) -> None:
    shop.add({"id": 1, "stock": -1, **FULL}, {"id": 2, "stock": 2, "name": "stays"})
    done = hand.change([1, 2], NEGATIVE, moves)
    assert done.outcomes == Outcomes(changed=1, changed_since=1)
    assert list(shop.products()) == [2]
    (copy,) = copies(shop).values()
    assert (copy["policy"], copy["run"]) == ("odd-stock", "r-7")
    assert copy["codes"] in (["stock:negative", "price:above"], "stock:negative, price:above")
    assert copy["record"]["name"] == FULL["name"]
    assert float(copy["record"]["price"]) == 1.25
    assert set(copy) - {"id"} == {
        *("_id", "key", "codes", "policy", "run", "at", "until", "record"),
    }


def test_a_quarantine_can_be_purged_by_its_own_times(shop: Shop, hand: Hand) -> None:
    """Which any purge can do: the copy says until when it is kept, and an index finds it."""
    shop.add({"id": 1, "stock": -1})
    hand.change([1], NEGATIVE, moves)
    over = words(older_than={"field": "until", "age": "0s"})
    read = shop.target.reader
    late = NOW + timedelta(days=90, seconds=1)
    assert list(read("products_quarantine", late, scan=False).select(over, ()))
    early = NOW + timedelta(days=89, hours=23)
    assert not list(read("products_quarantine", early, scan=False).select(over, ()))


def test_what_was_moved_comes_home_as_it_was(shop: Shop, hand: Hand) -> None:
    shop.add({"id": 1, "stock": -1, **FULL}, {"id": 2, "stock": -2}, {"id": 3, "stock": 3})
    before = shop.products()
    done = hand.change([1, 2], NEGATIVE, moves)
    assert hand.undo(done).outcomes == Outcomes(changed=2)
    assert shop.products() == before
    assert copies(shop) == {}


def test_the_same_record_may_be_moved_twice(shop: Shop, hand: Hand) -> None:
    for number in range(2):
        shop.add({"id": 1, "stock": -1})
        hand.change([1], NEGATIVE, moves, name=f"run/apply/{number}")
    assert shop.products() == {}
    if isinstance(shop, MongoShop):
        assert shop.database.products_quarantine.count_documents({"key": 1}) == 2


@pytest.mark.parametrize(
    ("statement", "update", "code"),
    [
        ("DELETE FROM products_quarantine WHERE key = '2'", None, "gone"),
        (
            "UPDATE products_quarantine SET record = '{}' WHERE key = '2'",
            {"$set": {"record.stock": 2}},
            "changed_since",
        ),
    ],
    ids=["removed", "edited"],
)
def test_a_copy_that_is_not_as_it_was_written_is_a_conflict(
    shop: Shop, hand: Hand, statement: str, update: dict[str, Any] | None, code: str
) -> None:
    shop.add({"id": 1, "stock": -1}, {"id": 2, "stock": -2})
    before = shop.products()
    done = hand.change([1, 2], NEGATIVE, moves)
    forge(shop, statement, update)
    undone = hand.undo(done)
    assert undone.outcomes == Outcomes(changed=1, changed_since=1)
    assert hand.told(undone) == {1: ("restored", None), 2: ("conflict", code)}
    assert shop.products() == without(before, 2)
    assert set(copies(shop)) == {"gone": set(), "changed_since": {2}}[code]


def test_a_key_or_a_unique_value_that_was_taken_leaves_the_copy_where_it_is(
    shop: Shop, hand: Hand
) -> None:
    shop.add(*({"id": number, "stock": -1, "sku": f"s-{number}"} for number in (1, 2, 3)))
    done = hand.change([1, 2, 3], NEGATIVE, moves)
    shop.add({"id": 2, "name": "another"}, {"id": 30, "sku": "s-3"})
    undone = hand.undo(done)
    assert hand.told(undone) == {
        1: ("restored", None),
        2: ("conflict", "key_taken"),
        3: ("conflict", "key_taken"),
    }
    assert set(copies(shop)) == {2, 3}
    assert set(shop.products()) == {1, 2, 30}


def test_a_batch_that_fails_moves_nothing(shop: Shop, hand: Hand) -> None:
    shop.add({"id": 1, "stock": -1})

    def no_room(_images: Any) -> Any:
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        hand.change([1], NEGATIVE, moves, archive=no_room)
    assert list(shop.products()) == [1]
    assert copies(shop) == {}


def test_a_quarantine_of_another_form_is_refused_with_the_form(site: Site) -> None:
    site.run("CREATE TABLE things (id int PRIMARY KEY)")
    site.run("CREATE TABLE things_quarantine (id text PRIMARY KEY, record text)")
    with pytest.raises(TargetError, match=r'another form.*CREATE TABLE "things_quarantine" \(id'):
        site.target.check_quarantine("things")


def test_a_row_that_others_refer_to_stays(site: Site) -> None:
    site.run(
        "CREATE TABLE products (id int PRIMARY KEY, stock int)",
        "CREATE TABLE orders (id int PRIMARY KEY, product int REFERENCES products)",
        "INSERT INTO products VALUES (1, -1), (2, -2)",
        "INSERT INTO orders VALUES (1, 1)",
    )
    with pytest.raises(CollectionMissing) as refused:
        site.target.check_quarantine("products")
    site.run(*re.findall(r"CREATE [^;]*;", str(refused.value)))
    site.hand.origin = ORIGIN
    done = site.of("products").change([1, 2], NEGATIVE, moves)
    assert done.outcomes == Outcomes(changed=1, failed=1)
    assert site.hand.told(done)[1] == ("failed", "still_referenced")
    assert site.rows("SELECT key FROM products_quarantine") == [("2",)]
