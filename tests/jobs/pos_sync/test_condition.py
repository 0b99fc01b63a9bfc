"""How a store's condition moves: the table, and every path that the rules can take."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from jobs.pos_sync.condition import ARROWS, WAITS, Condition, after_failure, longest_wait
from jobs.pos_sync.failures import CLASSES, Kind

FAILURES = st.lists(st.sampled_from(list(Kind)), max_size=30)


@given(FAILURES)
def test_no_failure_moves_a_store_but_along_the_table(kinds: list[Kind]) -> None:
    condition = Condition.HEALTHY
    for number, kind in enumerate(kinds, start=1):
        after = after_failure(condition, kind, number)
        assert after == condition or (condition, after) in ARROWS
        condition = after


@given(FAILURES)
def test_what_only_a_person_mends_ends_every_path(kinds: list[Kind]) -> None:
    condition = Condition.HEALTHY
    for number, kind in enumerate(kinds, start=1):
        condition = after_failure(condition, kind, number)
    needs = any(CLASSES[kind].action in ("person", "refresh") for kind in kinds)
    assert (condition == Condition.NEEDS_PERSON) == needs


def test_every_condition_but_healthy_comes_back_to_it() -> None:
    ill = set(Condition) - {Condition.HEALTHY}
    assert {before for before, after in ARROWS if after == Condition.HEALTHY} == ill


def test_every_arrow_says_when() -> None:
    assert all(said and said == said.strip() for said in ARROWS.values())


def test_waits_double_up_to_the_longest_and_a_person_is_not_waited_for() -> None:
    assert longest_wait(Condition.DEGRADED, 1) == timedelta(minutes=2)
    assert longest_wait(Condition.DEGRADED, 2) == timedelta(minutes=4)
    assert longest_wait(Condition.OFFLINE, 10_000) == timedelta(hours=1)
    assert longest_wait(Condition.NEEDS_PERSON, 1) is None
    assert set(WAITS) == {Condition.DEGRADED, Condition.ERROR, Condition.OFFLINE}
