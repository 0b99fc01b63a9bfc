"""What every target promises, asked of each of them through the protocol alone."""

from typing import Any

import pytest

from jobs.base import Change, Delete, Fail, Outcomes, Record, Update
from policies.selectors import Selector
from tests.worker.scenario import NOW, old
from tests.worker.targets.shops import Hand, Shop, deletes, without, words, work, writes
from worker.errors import BatchTooLarge, CollectionMissing, FenceLost, IndexMissing

CONCURRENT = pytest.mark.parametrize("shop", ["mongodb", "postgresql"], indirect=True)
"""SQLite lets nobody write beside an open batch; `test_sql.py` looks at that."""

NEGATIVE = words(less_than={"field": "stock", "value": 0})
STALE = words(older_than={"field": "updated", "age": "30d"})
ENDED = words(equals={"field": "active", "value": False})
RETURNS = words(equals={"field": "name", "value": "return"})


def negatives(*numbers: int) -> list[dict[str, Any]]:
    return [{"id": number, "stock": -number, "name": f"p-{number}"} for number in numbers]


# What is read.


FINDS: list[tuple[Selector, list[int]]] = [
    (NEGATIVE, [1, 2]),
    (words(less_than={"field": "price", "value": 0.5}), [1]),
    (words(less_than={"field": "stock", "value": -1.5}), [2]),
    (STALE, [2, 3]),
    (words(younger_than={"field": "updated", "age": "30d"}), [1]),
    (words(none=[{"younger_than": {"field": "updated", "age": "30d"}}]), [2, 3, 4]),
    (ENDED, [3]),
    (RETURNS, [2]),
    (words(equals={"field": "stock", "value": 7}), [3]),
    (words(equals={"field": "stock", "value": 6.5}), []),
    (words(equals={"field": "price", "value": 0.25}), [1]),
    (words(equals={"field": "name", "value": "0" * 24, "type": "objectid"}), []),
    (words(is_type={"field": "name", "type": "text"}), [1, 2, 3, 4]),
    (words(is_type={"field": "stock", "type": "text"}), []),
    (words(any=[NEGATIVE, ENDED]), [1, 2, 3]),
    (words(all=[NEGATIVE, STALE]), [2]),
    (words(all=[NEGATIVE, {"none": [RETURNS]}]), [1]),
    (words(none=[STALE]), [1, 4]),
    (words(none=[NEGATIVE, ENDED]), [4]),
    (words(none=[{"none": [ENDED]}]), [3]),
]


def test_a_selector_finds_the_same_records_in_every_target(shop: Shop, hand: Hand) -> None:
    """Product 4 has none of the fields that others are judged by."""
    shop.add(
        {"id": 1, "stock": -1, "price": 0.25, "updated": old(30), "active": True, "name": "a"},
        {"id": 2, "stock": -2, "price": 0.5, "updated": old(31), "active": True, "name": "return"},
        {"id": 3, "stock": 7, "price": 9.5, "updated": old(3650), "active": False, "name": "b"},
        {"id": 4, "name": "bare"},
    )
    for selector, found in FINDS:
        assert (selector, hand.keys(selector, scan=True)) == (selector, found)
        assert shop.target.count("products", selector, NOW) == len(found)
        known = shop.target.count_of("products", selector, NOW, [1, 2, 99])
        assert (selector, known) == (selector, len({1, 2} & {*found}))


def test_an_empty_field_equals_nothing_but_null(shop: Shop, hand: Hand) -> None:
    shop.add({"id": 1, "active": None, "name": "x"}, {"id": 2, "active": True, "name": "y"})
    assert hand.keys(words(equals={"field": "active", "value": None}), scan=True) == [1]
    assert hand.keys(words(none=[ENDED]), scan=True) == [1, 2]


def test_a_plan_gets_the_fields_it_asks_for_in_the_types_of_the_application(
    shop: Shop, hand: Hand
) -> None:
    shop.add({"id": 5, "stock": -3, "price": 2.5, "updated": old(2), "active": True, "name": "n"})
    (item,) = hand.select(NEGATIVE, "stock", "price", "updated", "active")
    assert item.key == 5
    assert item.fields["stock"] == -3
    assert item.fields["price"] == 2.5
    assert item.fields["updated"] == old(2)
    assert item.fields["active"] is True
    assert "name" not in item.fields


def test_a_collection_that_does_not_exist_is_named(shop: Shop) -> None:
    with pytest.raises(CollectionMissing, match="nothing_here does not exist; check `collection`"):
        shop.target.check("nothing_here", NEGATIVE, NOW)


def test_a_selector_with_an_index_passes_the_check(shop: Shop) -> None:
    shop.add(*negatives(1))
    shop.target.check("products", words(any=[NEGATIVE, STALE]), NOW)
    shop.target.check("products", words(all=[NEGATIVE, {"none": [RETURNS]}]), NOW)


def test_a_selector_without_an_index_is_refused_with_the_command_that_makes_one(
    shop: Shop, hand: Hand
) -> None:
    shop.add(*negatives(1))
    by_price = words(less_than={"field": "price", "value": 0})
    with pytest.raises(IndexMissing, match=r"(?i)create.*price.*tend plan --scan"):
        shop.target.check("products", words(any=[NEGATIVE, by_price]), NOW)
    with pytest.raises(IndexMissing):
        hand.keys(by_price)
    assert hand.keys(by_price, scan=True) == []


def test_populations_are_counted(shop: Shop) -> None:
    shop.add(*negatives(*range(1, 31)))
    assert shop.target.population("products") == 30
    assert shop.target.population_at_least("products", 12) == 12
    assert shop.target.population_at_least("products", 99) == 30
    assert shop.target.population_now("products") == 30


def test_the_average_size_follows_the_records(shop: Shop) -> None:
    shop.add({"id": 1, "name": "x" * 1000}, {"id": 2, "name": "y" * 3000})
    assert 2000 <= shop.target.average_size("products") <= 2400


def test_an_empty_collection_has_records_of_no_size(shop: Shop) -> None:
    shop.add({"id": 1})
    shop.remove(1)
    assert shop.target.average_size("products") == 0


# What is changed.


def test_a_deletion_removes_what_still_matches_and_says_what_it_missed(
    shop: Shop, hand: Hand
) -> None:
    shop.add(*negatives(1, 2, 3, 4))
    shop.edit(2, stock=5)
    shop.remove(3)
    done = hand.change([1, 2, 3, 4], NEGATIVE, deletes)
    assert done.outcomes == Outcomes(changed=2, changed_since=1, gone=1)
    assert list(shop.products()) == [2]
    assert hand.told(done) == {
        1: ("changed", None),
        2: ("changed_since", None),
        3: ("gone", None),
        4: ("changed", None),
    }


def test_a_job_decides_for_each_record(shop: Shop, hand: Hand) -> None:
    shop.add(*negatives(1, 2, 3, 4))

    def decide(record: Record) -> Change:
        match record["stock"]:
            case -1:
                return Delete()
            case -2:
                return Fail("no_idea")
            case stock:
                return Update({"stock": -stock, "active": False})

    done = hand.change([1, 2, 3, 4], NEGATIVE, decide)
    assert done.outcomes == Outcomes(changed=3, failed=1)
    assert shop.products() == {
        2: {"stock": -2, "name": "p-2"},
        3: {"stock": 3, "name": "p-3", "active": False},
        4: {"stock": 4, "name": "p-4", "active": False},
    }
    assert hand.told(done)[2] == ("failed", "no_idea")


def test_before_images_are_archived_before_anything_is_changed(shop: Shop, hand: Hand) -> None:
    shop.add(*negatives(1, 2))

    def no_room(_images: Any) -> Any:
        assert list(shop.products()) == [1, 2]
        raise OSError("no room")

    with pytest.raises(OSError, match="no room"):
        hand.change([1, 2], NEGATIVE, deletes, archive=no_room)
    assert list(shop.products()) == [1, 2]


def test_a_batch_too_large_changes_nothing_and_one_record_always_fits(
    shop: Shop, hand: Hand
) -> None:
    shop.add(*({"id": n, "stock": -1, "name": "x" * 4000} for n in (1, 2)))
    with pytest.raises(BatchTooLarge, match="2 records exceed 5000 bytes"):
        hand.change([1, 2], NEGATIVE, deletes, size=5000)
    assert list(shop.products()) == [1, 2]
    done = hand.change([1], NEGATIVE, deletes, size=1000, name="run/apply/1")
    assert done.outcomes == Outcomes(changed=1)


def test_a_job_that_raises_changes_nothing(shop: Shop, hand: Hand) -> None:
    shop.add(*negatives(1))

    def breaks(_record: Record) -> Change:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        hand.change([1], NEGATIVE, breaks)
    assert list(shop.products()) == [1]


@CONCURRENT
def test_a_write_of_the_application_in_the_same_moment_is_not_lost(shop: Shop, hand: Hand) -> None:
    """The application revives a record that the open batch has read and is about to delete."""
    shop.add(*negatives(1, 2))
    decided: list[None] = []

    def revive(record: Record) -> Change:
        if not decided:
            shop.edit(2, stock=8)
        decided.append(None)
        return deletes(record)

    done = hand.change([1, 2], NEGATIVE, revive)
    assert len(decided) == 2 + 1
    assert done.outcomes == Outcomes(changed=1, changed_since=1)
    assert shop.products() == {2: {"stock": 8, "name": "p-2"}}


@CONCURRENT
def test_an_edit_in_the_same_moment_comes_back_with_the_record(shop: Shop, hand: Hand) -> None:
    """It leaves the selector as it was, so that the record goes all the same."""
    shop.add(*negatives(1, 2))
    decided: list[None] = []

    def edit(record: Record) -> Change:
        if not decided:
            shop.edit(2, name="edited")
        decided.append(None)
        return deletes(record)

    done = hand.change([1, 2], NEGATIVE, edit)
    assert len(decided) == 2 + 2
    assert hand.undo(done).outcomes == Outcomes(changed=2)
    assert shop.products()[2] == {"stock": -2, "name": "edited"}


# What is taken back.

FULL = {"sku": "s-1", "price": 1.25, "updated": old(40.123), "active": False}


def test_deleted_records_come_back_as_they_were(shop: Shop, hand: Hand) -> None:
    shop.add(*negatives(1, 2), {"id": 3, "stock": -3, "name": "ünïcode\n", **FULL})
    before = shop.products()
    done = hand.change([1, 2, 3], NEGATIVE, deletes)
    assert shop.products() == {}
    assert hand.undo(done).outcomes == Outcomes(changed=3)
    assert shop.products() == before


def test_written_fields_come_back_and_others_stay_as_they_are(shop: Shop, hand: Hand) -> None:
    shop.add(*negatives(1, 2), {"id": 3, "stock": -3, **FULL})
    before = shop.products()
    done = hand.change([1, 2, 3], NEGATIVE, writes(stock=0, active=True))
    assert [row["stock"] for row in shop.products().values()] == [0, 0, 0]
    shop.edit(2, name="edited since")
    assert hand.undo(done).outcomes == Outcomes(changed=3)
    assert shop.products() == {**before, 2: {**before[2], "name": "edited since"}}


def test_a_key_that_was_taken_again_is_a_conflict(shop: Shop, hand: Hand) -> None:
    shop.add(*negatives(1, 2))
    done = hand.change([1, 2], NEGATIVE, deletes)
    shop.add({"id": 2, "name": "another"})
    undone = hand.undo(done)
    assert undone.outcomes == Outcomes(changed=1, changed_since=1)
    assert hand.told(undone) == {1: ("restored", None), 2: ("conflict", "key_taken")}
    assert shop.products()[2] == {"name": "another"}


def test_a_unique_value_that_was_taken_again_is_a_conflict(shop: Shop, hand: Hand) -> None:
    shop.add(*({"id": n, "stock": -n, "sku": f"s-{n}"} for n in (1, 2, 3)))
    before = shop.products()
    done = hand.change([1, 2, 3], NEGATIVE, deletes)
    shop.add({"id": 20, "sku": "s-2"})
    undone = hand.undo(done)
    assert undone.outcomes == Outcomes(changed=2, changed_since=1)
    assert hand.told(undone)[2] == ("conflict", "key_taken")
    assert shop.products() == {**without(before, 2), 20: {"sku": "s-2"}}


def test_what_was_edited_or_removed_since_is_a_conflict(shop: Shop, hand: Hand) -> None:
    shop.add(*negatives(1, 2, 3))
    done = hand.change([1, 2, 3], NEGATIVE, writes(stock=0))
    shop.edit(2, stock=9)
    shop.remove(3)
    undone = hand.undo(done)
    assert undone.outcomes == Outcomes(changed=1, changed_since=2)
    assert hand.told(undone) == {
        1: ("restored", None),
        2: ("conflict", "changed_since"),
        3: ("conflict", "gone"),
    }
    assert shop.products()[2]["stock"] == 9


def test_a_written_value_that_another_record_took_since_is_a_conflict(
    shop: Shop, hand: Hand
) -> None:
    shop.add(*({"id": n, "stock": -n, "sku": f"s-{n}"} for n in (1, 2)))
    done = hand.change([1], NEGATIVE, writes(sku="ended", stock=0))
    shop.add({"id": 20, "sku": "s-1"})
    left = shop.products()
    undone = hand.undo(done)
    assert hand.told(undone) == {1: ("conflict", "key_taken")}
    assert shop.products() == left


def test_of_two_records_that_had_one_value_the_first_comes_back(shop: Shop, hand: Hand) -> None:
    shop.add(*({"id": n, "stock": -n, "sku": f"s-{n}"} for n in (1, 2, 3)))
    first = hand.change([1], NEGATIVE, deletes)
    shop.edit(2, sku="s-1")
    second = hand.change([2, 3], NEGATIVE, deletes, name="run/apply/1")
    preview = hand.preview(first, second)
    assert preview == {
        1: ("restored", None),
        2: ("conflict", "key_taken"),
        3: ("restored", None),
    }
    told = [hand.told(hand.undo(done, f"run/undo/{n}")) for n, done in enumerate((first, second))]
    assert {**told[0], **told[1]} == preview


def test_a_preview_changes_nothing_and_reads_what_is_committed(shop: Shop, hand: Hand) -> None:
    shop.add(*negatives(1, 2))
    assert shop.target.committed("run/apply/0") == ()
    done = hand.change([1, 2], NEGATIVE, deletes)
    shop.add({"id": 2, "name": "another"})
    left = shop.products()
    assert hand.preview(done) == {1: ("restored", None), 2: ("conflict", "key_taken")}
    assert shop.products() == left
    assert shop.target.committed("run/apply/0") == (done,)
    with hand.fence() as fence:
        assert fence.take(2) == (done,)


# The fence.


def test_the_fence_remembers_every_batch(shop: Shop, hand: Hand) -> None:
    shop.add(*negatives(1, 2, 3))
    with hand.fence() as fence:
        assert fence.take(1) == ()
        first = fence.batch(0, (0, 2), work([1, 2], NEGATIVE, deletes))
    with hand.fence() as fence:
        assert fence.take(2) == (first,)
        second = fence.batch(1, (2, 3), work([3], NEGATIVE, deletes))
    assert (first.attempt, second.attempt) == (1, 2)
    assert shop.target.close_fence("run/apply/0") == (first, second)


def test_an_attempt_that_was_overtaken_changes_nothing_more(shop: Shop, hand: Hand) -> None:
    shop.add(*negatives(1, 2))
    with hand.fence() as first, hand.fence() as second:
        first.take(1)
        second.take(2)
        with pytest.raises(FenceLost, match="overtaken or closed"):
            first.batch(0, (0, 2), work([1, 2], NEGATIVE, deletes))
        with pytest.raises(FenceLost):
            first.take(1)
    assert list(shop.products()) == [1, 2]


@CONCURRENT
def test_an_attempt_that_is_overtaken_in_the_middle_of_a_batch_is_stopped(
    shop: Shop, hand: Hand
) -> None:
    """Its transaction is open, its fence is written, its records not yet."""
    shop.add(*negatives(1, 2))
    tries: list[int] = []

    def overtake(images: Any) -> Any:
        tries.append(len(images.deleted))
        with hand.fence() as second:
            assert second.take(2) == ()
        return hand.archive(images)

    with pytest.raises(FenceLost):
        hand.change([1, 2], NEGATIVE, deletes, archive=overtake)
    assert tries == [2]
    assert list(shop.products()) == [1, 2]


@CONCURRENT
def test_a_fence_that_is_closed_in_the_middle_of_a_batch_lets_nothing_through(
    shop: Shop, hand: Hand
) -> None:
    shop.add(*negatives(1, 2))

    def close(images: Any) -> Any:
        assert shop.target.close_fence("run/apply/0") == ()
        return hand.archive(images)

    with pytest.raises(FenceLost):
        hand.change([1, 2], NEGATIVE, deletes, archive=close)
    assert list(shop.products()) == [1, 2]


def test_a_batch_does_not_begin_where_another_one_did(shop: Shop, hand: Hand) -> None:
    shop.add(*negatives(1, 2))
    with hand.fence() as fence:
        fence.take(1)
        fence.batch(0, (0, 1), work([1], NEGATIVE, deletes))
        with pytest.raises(FenceLost):
            fence.batch(0, (0, 1), work([2], NEGATIVE, deletes))
    assert list(shop.products()) == [2]


def test_a_closed_fence_lets_nobody_in(shop: Shop, hand: Hand) -> None:
    shop.add(*negatives(1))
    assert shop.target.close_fence("run/apply/0") == ()
    with hand.fence() as fence, pytest.raises(FenceLost):
        fence.take(1)
    assert shop.target.close_fence("run/apply/0") == ()


def test_a_run_that_is_past_is_forgotten_and_no_other(shop: Shop, hand: Hand) -> None:
    shop.add(*negatives(1, 2))
    hand.change([1], NEGATIVE, deletes, name="a%_b/apply/0")
    hand.change([2], NEGATIVE, deletes, name="a%_bc/apply/0")
    shop.target.forget("a%_b/")
    assert shop.fences() == 1
    assert len(shop.target.close_fence("a%_bc/apply/0")) == 1


def test_planning_leaves_nothing_behind(shop: Shop, hand: Hand) -> None:
    shop.add(*negatives(1))
    before = shop.products()
    shop.target.check("products", NEGATIVE, NOW)
    shop.target.forget("never/")
    assert hand.keys(NEGATIVE) == [1]
    assert shop.products() == before
    with pytest.raises(CollectionMissing):
        shop.target.check("tend_fences", NEGATIVE, NOW)
