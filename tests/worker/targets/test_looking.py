"""What a person's questions about single records find, in every kind of target."""

from datetime import timedelta
from typing import Any

import pytest

from tests.worker.scenario import NOW, old
from tests.worker.targets.shops import Shop, Site, words
from worker.errors import IndexMissing
from worker.targets.mongo_look import MongoLook
from worker.targets.sql_look import SqlLook

STALE = words(older_than={"field": "updated", "age": "30d"})
ENDED = words(equals={"field": "active", "value": False})


def rows() -> list[dict[str, Any]]:
    return [
        {"id": 1, "name": "a", "stock": 3, "updated": old(31), "active": True, "sku": "s-1"},
        {"id": 2, "name": "b", "stock": 4, "updated": old(29), "active": False, "sku": "s-2"},
        {"id": 3, "name": "a", "stock": 5, "updated": old(1), "active": True, "sku": "s-3"},
    ]


def test_a_record_is_found_whole_by_its_key(shop: Shop) -> None:
    shop.add(*rows())
    (item,) = shop.target.look("products").find([2, "2"])
    assert item.key == 2
    assert (item.fields["name"], item.fields["stock"], item.fields["active"]) == ("b", 4, False)
    assert item.fields["updated"] == old(29)


def test_a_key_that_no_record_has_finds_nothing(shop: Shop) -> None:
    shop.add(*rows())
    look = shop.target.look("products")
    assert look.find([9]) == []
    assert look.find(["no number at all"]) == []
    assert look.find([[1, 2]]) == []


def test_records_are_found_by_an_indexed_field(shop: Shop) -> None:
    shop.add(*rows())
    look = shop.target.look("products")
    assert sorted(item.key for item in look.find(["a"], "name")) == [1, 3]
    assert look.find(["nobody"], "name") == []


def test_a_field_without_an_index_is_not_searched(shop: Shop) -> None:
    shop.add(*rows())
    with pytest.raises(IndexMissing, match="no index on price"):
        shop.target.look("products").find([1], "price")


@pytest.mark.parametrize("days", [-40, -2, 0, 2, 40])
def test_a_record_matches_as_a_plan_of_that_moment_would_find_it(shop: Shop, days: int) -> None:
    shop.add(*rows())
    look, moment = shop.target.look("products"), NOW + timedelta(days=days)
    for selector in (STALE, ENDED, words(all=[STALE, {"none": [ENDED]}])):
        for key in (1, 2, 3, 99):
            found = shop.target.count_of("products", selector, moment, [key])
            assert look.matches(selector, moment, key) is (found == 1)


def test_a_look_has_nothing_that_writes() -> None:
    for kind in (MongoLook, SqlLook):
        offered = {name for name in vars(kind) if not name.startswith("_")}
        assert offered == {"find", "matches"}


def test_the_parts_of_a_composite_key_find_their_record(site: Site) -> None:
    site.run(
        "CREATE TABLE stock (store int, sku text, left_over int, PRIMARY KEY (store, sku))",
        "INSERT INTO stock VALUES (1, 'a', 5), (1, 'b', 6)",
    )
    look = site.target.look("stock")
    (item,) = look.find([[1, "b"], "1,b"])
    assert (item.key, item.fields["left_over"]) == ([1, "b"], 6)
    assert look.find([["x", "b"]]) == []
    assert look.matches(words(less_than={"field": "left_over", "value": 7}), NOW, [1, "b"])


def test_a_number_too_large_for_the_key_finds_nothing(site: Site) -> None:
    site.run("CREATE TABLE small (id smallint PRIMARY KEY)", "INSERT INTO small VALUES (1)")
    assert site.target.look("small").find([10**17, 1])[0].key == 1
    assert site.target.look("small").find([10**17]) == []


def test_a_uuid_is_found_by_its_text(postgres_site: Site) -> None:
    postgres_site.run(
        "CREATE TABLE tickets (id uuid PRIMARY KEY)",
        "INSERT INTO tickets VALUES (gen_random_uuid())",
    )
    ((known,),) = postgres_site.rows("SELECT id::text FROM tickets")
    look = postgres_site.target.look("tickets")
    assert [item.key for item in look.find([known, "nonsense"])] == [known]
