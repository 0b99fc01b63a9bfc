"""Tables as applications have them: keys of several columns, schemas, views, migrations."""

import pytest

from jobs.base import Outcomes
from tests.worker.scenario import NOW
from tests.worker.targets.shops import Site, deletes, words, work, writes
from worker.errors import CollectionMissing, TargetError

NEGATIVE = words(less_than={"field": "stock", "value": 0})
COMPOSITE = """CREATE TABLE stocks (
    note text, kiosk int, stock int, day date, product varchar(20),
    PRIMARY KEY (product, day, kiosk)
)"""


def stocks(site: Site, *rows: str) -> None:
    site.run(COMPOSITE, "CREATE INDEX stocks_stock ON stocks (stock)")
    for row in rows:
        site.run(f"INSERT INTO stocks (product, day, kiosk, stock) VALUES ({row})")  # noqa: S608 - our own


def test_a_key_of_several_columns_is_a_list_in_the_order_of_the_key(site: Site) -> None:
    stocks(site, "'b', '2026-01-02', 2, -1", "'b', '2026-01-02', 1, -2", "'a', '2026-01-02', 1, 5")
    assert site.of("stocks").keys(NEGATIVE) == [["b", "2026-01-02", 1], ["b", "2026-01-02", 2]]


def test_records_with_a_key_of_several_columns_are_changed_and_come_back(site: Site) -> None:
    stocks(
        site,
        "'a', '2026-01-01', 1, -1",
        "'a', '2026-01-01', 2, -2",
        "'a', '2026-01-02', 1, 3",
        "'b', '2026-01-01', 1, -4",
    )
    before = site.rows("SELECT * FROM stocks ORDER BY product, day, kiosk")
    hand = site.of("stocks")
    keys = hand.keys(NEGATIVE)
    site.run("DELETE FROM stocks WHERE product = 'b'")
    site.run("UPDATE stocks SET stock = 9 WHERE kiosk = 2")
    done = hand.change(keys, NEGATIVE, deletes)
    assert done.outcomes == Outcomes(changed=1, changed_since=1, gone=1)
    assert hand.told(done)["a", "2026-01-01", 2] == ("changed_since", None)
    assert site.target.count_of("stocks", NEGATIVE, NOW, keys) == 0
    assert hand.undo(done).outcomes == Outcomes(changed=1)
    site.run("UPDATE stocks SET stock = -2 WHERE kiosk = 2")
    site.run("INSERT INTO stocks (product, day, kiosk, stock) VALUES ('b', '2026-01-01', 1, -4)")
    assert site.rows("SELECT * FROM stocks ORDER BY product, day, kiosk") == before


def test_written_fields_behind_a_key_of_several_columns_come_back(site: Site) -> None:
    stocks(site, "'a', '2026-01-01', 1, -1", "'a', '2026-01-01', 2, -2")
    hand = site.of("stocks")
    done = hand.change(hand.keys(NEGATIVE), NEGATIVE, writes(stock=0))
    assert site.rows("SELECT stock FROM stocks") == [(0,), (0,)]
    site.run("UPDATE stocks SET stock = 7 WHERE kiosk = 2")
    undone = hand.undo(done)
    assert undone.outcomes == Outcomes(changed=1, changed_since=1)
    assert sorted(site.rows("SELECT stock FROM stocks")) == [(-1,), (7,)]


def test_there_may_be_more_keys_than_parameters(site: Site) -> None:
    site.run("CREATE TABLE many (id bigint PRIMARY KEY, stock int)")
    numbers = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 70000) "
    site.run(f"INSERT INTO many {numbers} SELECT i, -1 FROM n")  # noqa: S608 - our own
    keys = list(range(1, 70_002))
    assert site.target.count_of("many", NEGATIVE, NOW, keys) == 70_000
    done = site.of("many").change(keys[-12_000:], NEGATIVE, deletes)
    assert done.outcomes == Outcomes(changed=11_999, gone=1)
    assert site.target.population("many") == 58_001
    assert site.target.population_at_least("many", 100) == 100


def test_a_large_table_is_estimated_when_it_is_looked_at_again(postgres_site: Site) -> None:
    postgres_site.run(
        "CREATE TABLE many (id bigint PRIMARY KEY)",
        "INSERT INTO many SELECT * FROM generate_series(1, 150000)",
        "ANALYZE many",
    )
    assert 140_000 <= postgres_site.target.population_now("many") <= 160_000
    assert postgres_site.target.population("many") == 150_000


@pytest.mark.parametrize(
    ("statement", "sentence"),
    [
        ("CREATE VIEW odd AS SELECT 1 AS stock", "table odd is no table but a view or the like"),
        ("CREATE TABLE odd (stock int UNIQUE)", "table odd has no primary key"),
    ],
)
def test_what_cannot_be_worked_on_is_refused(site: Site, statement: str, sentence: str) -> None:
    site.run(statement)
    with pytest.raises(TargetError, match=sentence):
        site.target.check("odd", NEGATIVE, NOW)
    with pytest.raises(TargetError, match=sentence):
        site.of("odd").change([1], NEGATIVE, deletes)


def test_a_table_in_another_schema_is_reached_by_its_full_name(postgres_site: Site) -> None:
    postgres_site.run(
        "CREATE SCHEMA pos",
        "CREATE TABLE pos.products (id int PRIMARY KEY, stock int)",
        "INSERT INTO pos.products VALUES (1, -1)",
    )
    with pytest.raises(CollectionMissing):
        postgres_site.target.check("products", NEGATIVE, NOW)
    hand = postgres_site.of("pos.products")
    done = hand.change(hand.keys(NEGATIVE, scan=True), NEGATIVE, deletes)
    assert postgres_site.rows("SELECT * FROM pos.products") == []
    assert hand.undo(done).outcomes == Outcomes(changed=1)


def test_names_are_taken_as_they_are_written(site: Site) -> None:
    site.run('CREATE TABLE "salesData" (id int PRIMARY KEY, stock int, "order" text, "a:b %c" int)')
    site.run("""INSERT INTO "salesData" VALUES (1, -1, 'x', 3)""")
    hand = site.of("salesData")
    done = hand.change(hand.keys(NEGATIVE, scan=True), NEGATIVE, deletes)
    assert hand.undo(done).outcomes == Outcomes(changed=1)
    assert site.rows('SELECT * FROM "salesData"') == [(1, -1, "x", 3)]


def test_computed_columns_are_computed_again(site: Site) -> None:
    site.run(
        """CREATE TABLE products (id int PRIMARY KEY, stock int,
            lacking int GENERATED ALWAYS AS (-stock) STORED)""",
        "INSERT INTO products (id, stock) VALUES (1, -4)",
    )
    hand = site.of("products")
    selector = words(less_than={"field": "stock", "value": 0})
    done = hand.change([1], selector, deletes)
    assert hand.undo(done).outcomes == Outcomes(changed=1)
    assert site.rows("SELECT * FROM products") == [(1, -4, 4)]


def test_numbers_that_the_database_gives_itself_come_back(postgres_site: Site) -> None:
    postgres_site.run(
        "CREATE TABLE products (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, stock int)",
        "INSERT INTO products (stock) VALUES (1), (-2), (3)",
    )
    hand = postgres_site.of("products")
    done = hand.change([2], NEGATIVE, deletes)
    assert hand.undo(done).outcomes == Outcomes(changed=1)
    assert sorted(postgres_site.rows("SELECT * FROM products")) == [(1, 1), (2, -2), (3, 3)]


def test_a_column_added_between_two_batches_is_in_the_archive(site: Site) -> None:
    site.run("CREATE TABLE products (id int PRIMARY KEY, stock int)")
    site.run("INSERT INTO products VALUES (1, -1), (2, -2)")
    hand = site.of("products")
    with hand.fence() as fence:
        fence.take(1)
        fence.batch(0, (0, 1), work([1], NEGATIVE, deletes))
        site.run("ALTER TABLE products ADD COLUMN barcode text DEFAULT 'new'")
        site.run("UPDATE products SET barcode = '4006381'")
        done = fence.batch(1, (1, 2), work([2], NEGATIVE, deletes))
    hand.undo(done)
    assert site.rows("SELECT * FROM products") == [(2, -2, "4006381")]


def test_a_record_whose_column_was_dropped_meanwhile_is_a_conflict(site: Site) -> None:
    site.run("CREATE TABLE products (id int PRIMARY KEY, stock int, note text)")
    site.run("INSERT INTO products VALUES (1, -1, 'n'), (2, -2, 'n')")
    hand = site.of("products")
    deleted = hand.change([1], NEGATIVE, deletes)
    written = hand.change([2], NEGATIVE, writes(stock=0), name="run/apply/1")
    site.run("ALTER TABLE products DROP COLUMN note")
    undone = hand.undo(deleted)
    assert hand.told(undone) == {1: ("conflict", "schema_changed")}
    assert hand.undo(written, name="run/undo/1").outcomes == Outcomes(changed=1)
    assert site.rows("SELECT * FROM products") == [(2, -2)]


def test_a_table_dropped_in_the_middle_is_named(site: Site) -> None:
    site.run("CREATE TABLE products (id int PRIMARY KEY, stock int)")
    hand = site.of("products")
    with hand.fence() as fence:
        fence.take(1)
        site.run("DROP TABLE products")
        with pytest.raises(CollectionMissing, match="table products"):
            fence.batch(0, (0, 1), work([1], NEGATIVE, deletes))
