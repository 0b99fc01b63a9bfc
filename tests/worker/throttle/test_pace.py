"""Pace: how batches grow, shrink and rest."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.errors import PolicyError
from tests.worker.scenario import purge
from worker.throttle import pace
from worker.throttle.pace import SMALLEST

GENTLE, NORMAL, FULL = (
    pace.of(purge(pace=name, batch={"records": 500})) for name in ("gentle", "normal", "full")
)


def sizes(of: pace.Pace, size: int, seconds: list[float]) -> list[int]:
    found = []
    for took in seconds:
        size = min(of.size_after(size, took), of.largest)
        found.append(size)
    return found


def test_a_batch_that_takes_too_long_shrinks_towards_its_time_and_grows_back() -> None:
    assert sizes(NORMAL, 500, [2.0, 1.25, 0.25, 0.5, 0.1]) == [250, 200, 400, 500, 500]


def test_a_slow_target_makes_no_batch_too_small_to_be_worth_its_fence() -> None:
    assert sizes(NORMAL, 500, [9.0] * 6)[-1] == SMALLEST
    assert sizes(NORMAL, 7, [9.0]) == [7]


def test_full_pace_takes_the_largest_batches_and_never_rests() -> None:
    assert sizes(FULL, 5_000, [7.0, 7.0]) == [5_000, 5_000]
    assert FULL.turn(5_000, 7.0) == 7.0


def test_gentle_pace_has_one_writer_and_small_batches() -> None:
    assert (GENTLE.writers, GENTLE.largest) == (1, 100)
    assert pace.of(purge(pace="gentle", batch={"records": 30})).largest == 30


@given(st.integers(1, 100), st.floats(0.001, 10))
def test_gentle_pace_rests_more_than_it_works_and_keeps_to_its_rate(
    records: int, took: float
) -> None:
    turn = GENTLE.turn(records, took)
    assert took <= 0.5 * turn
    assert records / turn <= GENTLE.rate * 1.001


@given(st.integers(1, 5_000), st.floats(0.0, 100))
def test_a_size_is_never_more_than_doubled_or_less_than_halved(size: int, took: float) -> None:
    assert size // 2 <= NORMAL.size_after(size, took) <= 2 * size


def test_full_pace_with_a_pause_is_refused() -> None:
    with pytest.raises(PolicyError, match="pace: full does not rest"):
        purge(pace="full", batch={"pause": "1s"})
