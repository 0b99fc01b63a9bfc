"""The pace of a run is said as soon as it is known, and never of another phase."""

from hypothesis import given
from hypothesis import strategies as st

from worker.progress.pace import WINDOW_SECONDS, Pace


def test_a_steady_run_says_how_fast_it_is_and_how_long_the_rest_takes() -> None:
    pace = Pace()
    for second in range(10):
        pace.note("applying", 4_000 * second, second)
    assert pace.words(280_000) == ", 4,000/s, about 70 s left"
    assert pace.words(3_600_000) == ", 4,000/s, about 15 min left"
    assert pace.words(4_000 * 3600 * 5) == ", 4,000/s, about 5.0 h left"


def test_before_two_seconds_and_while_nothing_moves_no_pace_is_said() -> None:
    pace = Pace()
    assert pace.words(10) == ""
    pace.note("applying", 0, 0)
    pace.note("applying", 500, 1)
    assert pace.words(10) == ""
    still = Pace()
    still.note("applying", 500, 0)
    still.note("applying", 500, 9)
    assert still.words(10) == ""


def test_an_undo_has_a_pace_of_its_own() -> None:
    pace = Pace()
    pace.note("applying", 0, 0)
    pace.note("applying", 9_000, 3)
    pace.note("undoing", 0, 4)
    assert pace.per_second is None
    pace.note("undoing", 20, 8)
    assert pace.per_second == 5
    assert pace.words(10) == ", 5.0/s, about 2 s left"


@given(st.lists(st.tuples(st.floats(0.1, 20), st.integers(0, 500)), min_size=2, max_size=40))
def test_a_pace_lies_between_the_slowest_and_the_fastest_of_its_window(
    steps: list[tuple[float, int]],
) -> None:
    pace, at, done, seen = Pace(), 0.0, 0, []
    pace.note("applying", 0, 0.0)
    for seconds, more in steps:
        at, done = at + seconds, done + more
        pace.note("applying", done, at)
        seen.append((at, more / seconds))
    inside = [speed for moment, speed in seen if at - moment <= WINDOW_SECONDS + 20]
    if pace.per_second is not None:
        assert min(inside) - 1e-6 <= pace.per_second <= max(inside) + 1e-6
