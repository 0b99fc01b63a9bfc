"""`not_in` on PostgreSQL and SQLite: products whose store does not exist."""

import pytest

from tests.worker.scenario import NOW
from tests.worker.targets.shops import Site, deletes, left, words
from worker.errors import IndexMissing, ParentUnusable, TargetError

ORPHANS = words(not_in={"field": "store_id", "parent": "stores", "key": "id"})
STORES = (
    "CREATE TABLE stores (id int PRIMARY KEY, name text)",
    "INSERT INTO stores VALUES (1, 'a'), (2, 'b')",
)


def shop(site: Site, *products: str, kind: str = "int", index: bool = True) -> None:
    """Products by the SQL of their `store_id`, numbered from 0."""
    site.run(*STORES, f"CREATE TABLE products (id int PRIMARY KEY, store_id {kind}, note text)")
    if index:
        site.run("CREATE INDEX by_store ON products (store_id)")
    for number, store in enumerate(products):
        site.run(f"INSERT INTO products VALUES ({number}, {store}, 'x')")  # noqa: S608 - our own


def test_products_without_a_store_go_and_come_back(site: Site) -> None:
    shop(site, "1", "3", "2", "4", "NULL", "3")
    assert site.hand.keys(ORPHANS) == [1, 3, 5]
    assert site.target.count("products", ORPHANS, NOW) == 3
    assert site.target.count_of("products", ORPHANS, NOW, [0, 1, 4]) == 1
    done = site.hand.change([0, 1, 3, 4, 5], ORPHANS, deletes)
    assert done.outcomes.counts[:2] == (3, 2)
    assert left(site) == [0, 2, 4]
    site.hand.undo(done)
    assert left(site) == [0, 1, 2, 3, 4, 5]


def test_a_product_whose_store_has_come_back_stays(site: Site) -> None:
    shop(site, "3", "4")
    assert site.hand.keys(ORPHANS) == [0, 1]
    site.run("INSERT INTO stores VALUES (3, 'back')")
    assert site.hand.change([0, 1], ORPHANS, deletes).outcomes.counts[:2] == (1, 1)
    assert left(site) == [0]


def test_stores_that_vanish_before_the_write_save_every_product(site: Site) -> None:
    shop(site, "3", "4")
    site.run("DELETE FROM stores")
    assert site.hand.change([0, 1], ORPHANS, deletes).outcomes.counts[:2] == (0, 2)


def test_no_key_is_reported_beside_other_conditions(site: Site) -> None:
    shop(site, "NULL", "NULL", "3", "1")
    site.run("UPDATE products SET note = 'kept' WHERE id IN (0, 2)")
    assert site.target.reported("products", ORPHANS, NOW) == {"null": 2}
    kept = {"equals": {"field": "note", "value": "kept"}}
    not_in = {"not_in": {"field": "store_id", "parent": "stores", "key": "id"}}
    free = words(all=[not_in, {"none": [kept]}])
    assert site.target.reported("products", free, NOW) == {"null": 1}
    assert site.hand.keys(free) == []


def test_not_a_number_is_reported(postgres_site: Site) -> None:
    shop(postgres_site, "'NaN'", "2", "7.5", kind="float8")
    assert postgres_site.hand.keys(ORPHANS) == [2]
    assert postgres_site.target.reported("products", ORPHANS, NOW) == {"nan": 1}


def test_in_sqlite_a_key_of_a_type_that_no_store_has_is_reported(sqlite_site: Site) -> None:
    shop(sqlite_site, "1", "'abc'", "x'00'", "3", "2.0", "2.5", "NULL", kind="")
    assert sqlite_site.hand.keys(ORPHANS) == [3, 5]
    reported = {"null": 1, "type_blob": 1, "type_text": 1}
    assert sqlite_site.target.reported("products", ORPHANS, NOW) == reported


def test_columns_that_cannot_be_compared_are_a_mistake_in_the_policy(postgres_site: Site) -> None:
    shop(postgres_site, "'1'", kind="text")
    with pytest.raises(TargetError, match="store_id holds text, and id of stores integers"):
        postgres_site.hand.keys(ORPHANS)


def test_keys_of_the_databases_own_types_are_compared(postgres_site: Site) -> None:
    one, two = (f"'aaaaaaaa-0000-0000-0000-00000000000{end}'" for end in "12")
    postgres_site.run(
        "CREATE TABLE stores (id uuid PRIMARY KEY)",
        f"INSERT INTO stores VALUES ({one})",  # noqa: S608 - our own
        "CREATE TABLE products (id int PRIMARY KEY, store_id uuid)",
        "CREATE INDEX by_store ON products (store_id)",
        f"INSERT INTO products VALUES (1, {one}), (2, {two})",  # noqa: S608 - our own
    )
    assert postgres_site.hand.keys(ORPHANS) == [2]


def test_a_table_can_be_its_own_parent(site: Site) -> None:
    site.run(
        "CREATE TABLE products (id int PRIMARY KEY, part_of int)",
        "CREATE INDEX by_whole ON products (part_of)",
        "INSERT INTO products VALUES (1, NULL), (2, 1), (3, 9), (4, 3)",
    )
    parts = words(not_in={"field": "part_of", "parent": "products", "key": "id"})
    assert site.hand.keys(parts) == [3]
    assert site.hand.change([3], parts, deletes).outcomes.changed == 1
    assert site.hand.keys(parts) == [4]


def test_both_sides_need_an_index(site: Site) -> None:
    shop(site, "3", index=False)
    with pytest.raises(IndexMissing, match=r"(?i)create index .* ?products.*store_id"):
        site.hand.keys(ORPHANS)
    assert site.hand.keys(ORPHANS, scan=True) == [0]
    site.run("CREATE INDEX by_store ON products (store_id)")
    by_name = words(not_in={"field": "note", "parent": "stores", "key": "name"})
    site.run("CREATE INDEX by_note ON products (note)")
    with pytest.raises(IndexMissing, match=r"(?i)create index .* ?stores.*name"):
        site.target.check("products", by_name, NOW)
    site.target.check("products", ORPHANS, NOW)


def test_a_missing_or_empty_table_of_parents_is_refused(site: Site) -> None:
    shop(site, "3")
    assert site.target.parents("products", ORPHANS) == {"stores": 2}
    site.run("DELETE FROM stores")
    with pytest.raises(ParentUnusable, match="table stores holds no record, so every record of"):
        site.target.parents("products", ORPHANS)
    site.run("DROP TABLE stores")
    with pytest.raises(ParentUnusable, match="table stores does not exist"):
        site.target.parents("products", ORPHANS)


def test_a_view_is_no_table_of_parents(site: Site) -> None:
    shop(site, "3")
    site.run("CREATE VIEW open_stores AS SELECT * FROM stores")
    of_view = words(not_in={"field": "store_id", "parent": "open_stores", "key": "id"})
    with pytest.raises(TargetError, match="table open_stores is no table but a view"):
        site.target.parents("products", of_view)


def test_a_key_that_the_parents_do_not_have_is_a_mistake_in_the_policy(site: Site) -> None:
    shop(site, "3")
    by_code = words(not_in={"field": "store_id", "parent": "stores", "key": "code"})
    with pytest.raises(TargetError, match="table stores has no column 'code'"):
        site.hand.keys(by_code)


def test_a_column_that_holds_dates_has_some(site: Site) -> None:
    site.run(
        "CREATE TABLE products (id int PRIMARY KEY, at timestamp, note text)",
        "INSERT INTO products VALUES (1, '2020-01-02 03:04:05', 'x'), (2, NULL, 'y')",
    )
    assert site.hand.keys(words(is_type={"field": "at", "type": "date"}), scan=True) == [1]
    assert site.hand.keys(words(is_type={"field": "note", "type": "date"}), scan=True) == []
