"""What a change may touch and write in SQL, and what an undo does with the rest."""

from typing import Any

import pytest

from jobs.base import Delete, Outcomes, Record
from tests.worker.targets.shops import Site, deletes, words, writes
from worker.errors import TargetConflict, TargetError

NEGATIVE = words(less_than={"field": "stock", "value": 0})


@pytest.fixture
def products(site: Site) -> Site:
    site.run(
        """CREATE TABLE products (
            id int PRIMARY KEY, stock int CHECK (stock < 100), price numeric(10, 2), name text)""",
        "INSERT INTO products VALUES (1, -1, 1.50, 'a'), (2, -2, NULL, 'b'), (3, 5, 0, 'c')",
    )
    site.of("products")
    return site


@pytest.mark.parametrize("action", ["CASCADE", "SET NULL", "NO ACTION", "RESTRICT"])
def test_a_record_that_others_refer_to_is_left_and_counted(products: Site, action: str) -> None:
    """A cascade would change records that are in no plan and no archive."""
    products.run(
        f"""CREATE TABLE prices (id int PRIMARY KEY,
            product int REFERENCES products (id) ON DELETE {action})""",
        "INSERT INTO prices VALUES (7, 2), (8, NULL)",
    )
    done = products.hand.change([1, 2], NEGATIVE, deletes)
    assert done.outcomes == Outcomes(changed=1, failed=1)
    assert products.hand.told(done)[2] == ("failed", "still_referenced")
    assert products.rows("SELECT id FROM products ORDER BY id") == [(2,), (3,)]
    assert products.rows("SELECT product FROM prices ORDER BY id") == [(2,), (None,)]


def test_a_child_that_arrives_in_the_same_moment_is_kept(postgres_site: Site) -> None:
    postgres_site.run(
        "CREATE TABLE products (id int PRIMARY KEY, stock int)",
        "CREATE TABLE prices (product int REFERENCES products ON DELETE CASCADE)",
        "INSERT INTO products VALUES (1, -1), (2, -2)",
    )
    hand = postgres_site.of("products")
    tries: list[int] = []
    arrived: list[bool] = []

    def arrives(_record: Record) -> Delete:
        if not arrived:
            arrived.append(True)
            postgres_site.run("INSERT INTO prices VALUES (2)")
        return Delete()

    def archive(images: Any) -> Any:
        tries.append(len(images.deleted))
        return hand.archive(images)

    done = hand.change([1, 2], NEGATIVE, arrives, archive=archive)
    assert tries == [2, 1]
    assert done.outcomes == Outcomes(changed=1, failed=1)
    assert postgres_site.rows("SELECT * FROM prices") == [(2,)]


def test_a_record_whose_parent_is_gone_is_a_conflict(products: Site) -> None:
    products.run(
        """CREATE TABLE prices (id int PRIMARY KEY, stock int,
            product int REFERENCES products (id) DEFERRABLE INITIALLY IMMEDIATE)""",
        "INSERT INTO prices VALUES (7, -1, 3), (8, -1, 1)",
    )
    hand = products.of("prices")
    done = hand.change([7, 8], NEGATIVE, deletes)
    products.run("DELETE FROM products WHERE id = 3")
    undone = hand.undo(done)
    assert undone.outcomes == Outcomes(changed=1, changed_since=1)
    assert hand.told(undone) == {7: ("conflict", "parent_missing"), 8: ("restored", None)}


def test_a_tree_comes_back_whatever_the_order_of_its_rows(site: Site) -> None:
    site.run(
        """CREATE TABLE tree (id int PRIMARY KEY, stock int,
            above int REFERENCES tree (id), name text UNIQUE)""",
        "INSERT INTO tree VALUES (9, -1, NULL, 'root'), (5, -1, 9, 'twig'), (1, -1, 5, 'leaf')",
        "INSERT INTO tree VALUES (2, -1, NULL, 'taken')",
    )
    before = site.rows("SELECT * FROM tree WHERE name <> 'taken' ORDER BY id")
    hand = site.of("tree")
    done = [hand.change([key], NEGATIVE, deletes, name=f"run/apply/{key}") for key in (1, 2, 5, 9)]
    assert [each.outcomes.changed for each in done] == [1, 1, 1, 1]
    site.run("INSERT INTO tree VALUES (3, 0, NULL, 'taken')")
    records = [record for each in done for record in hand.archived(each)]
    with hand.fence("run/undo/0") as fence:
        fence.take(1)
        undone = fence.batch(0, (0, 1), lambda batch: batch.restore(records))
    assert hand.told(undone)[2] == ("conflict", "key_taken")
    assert undone.outcomes == Outcomes(changed=3, changed_since=1)
    assert site.rows("SELECT * FROM tree WHERE name <> 'taken' ORDER BY id") == before


def test_a_written_value_is_recognised_in_the_form_the_column_gives_it(products: Site) -> None:
    """0 is 0.00 there."""
    done = products.hand.change([1, 2], NEGATIVE, writes(price=0, stock=0))
    assert done.outcomes == Outcomes(changed=2)
    products.run("UPDATE products SET price = 0.01 WHERE id = 2")
    undone = products.hand.undo(done)
    assert products.hand.told(undone)[2] == ("conflict", "changed_since")
    assert products.rows("SELECT stock, name FROM products ORDER BY id") == [
        (-1, "a"),
        (0, "b"),
        (5, "c"),
    ]


@pytest.mark.parametrize(
    ("fields", "sentence"),
    [
        ({"stock": "none"}, "column stock holds integers, and the policy would write a str"),
        ({"stock": True}, "column stock holds integers, and the policy would write a bool"),
        ({"name": 5}, "column name holds text, and the policy would write a int"),
        ({"id": 5}, "column id is part of the key, which stays"),
        ({"stocks": 5}, "has no column 'stocks'"),
        ({"stock": 500}, "has a constraint that refuses what the policy writes"),
    ],
)
def test_what_a_column_does_not_take_is_refused(
    products: Site, fields: dict[str, Any], sentence: str
) -> None:
    before = products.rows("SELECT * FROM products ORDER BY id")
    with pytest.raises(TargetError, match=sentence):
        products.hand.change([1, 2], NEGATIVE, writes(**fields))
    assert products.rows("SELECT * FROM products ORDER BY id") == before


def test_a_value_that_the_column_rounds_is_refused(postgres_site: Site) -> None:
    """It could not be recognised at an undo."""
    postgres_site.run(
        "CREATE TABLE products (id int PRIMARY KEY, stock int, price numeric(10, 2))",
        "INSERT INTO products VALUES (1, -1, 5)",
    )
    with pytest.raises(TargetError, match="makes another value of the one"):
        postgres_site.of("products").change([1], NEGATIVE, writes(price=0.125))
    assert postgres_site.rows("SELECT stock, price::int FROM products") == [(-1, 5)]


def test_a_trigger_that_keeps_a_record_alive_changes_nothing(postgres_site: Site) -> None:
    postgres_site.run(
        "CREATE TABLE products (id int PRIMARY KEY, stock int)",
        "INSERT INTO products VALUES (1, -1), (2, -1)",
        """CREATE FUNCTION keep() RETURNS trigger LANGUAGE plpgsql AS
            'BEGIN IF OLD.id = 2 THEN RETURN NULL; END IF; RETURN OLD; END'""",
        "CREATE TRIGGER keep BEFORE DELETE ON products FOR EACH ROW EXECUTE FUNCTION keep()",
    )
    with pytest.raises(TargetConflict, match="2 records were to change and 1 did"):
        postgres_site.of("products").change([1, 2], NEGATIVE, deletes)
    assert len(postgres_site.rows("SELECT * FROM products")) == 2


def test_empty_values_are_written_and_taken_back(products: Site) -> None:
    before = products.rows("SELECT * FROM products ORDER BY id")
    done = products.hand.change([1, 2], NEGATIVE, writes(name=None))
    assert products.rows("SELECT name FROM products ORDER BY id") == [(None,), (None,), ("c",)]
    assert products.hand.undo(done).outcomes == Outcomes(changed=2)
    assert products.rows("SELECT * FROM products ORDER BY id") == before
