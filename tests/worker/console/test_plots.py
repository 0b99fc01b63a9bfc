"""A plot's line and its table say what its figures are."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from worker.console.pages.plots import RATES, rate

STEPS = st.lists(
    st.tuples(st.floats(0, 1_000).map(lambda each: round(each, 1)), st.integers(0, 50_000)),
    min_size=1,
    max_size=200,
)


def test_what_goes_evenly_is_one_level_line() -> None:
    plot = rate("title", [(0, 0), (5, 1_000), (10, 2_000)])
    assert plot.rows == [("0 s", "5 s", "200"), ("5 s", "10 s", "200")]
    assert len({point.split(",")[1] for point in plot.line.split()}) == 1


def test_a_standstill_is_seen() -> None:
    plot = rate("title", [(0, 0), (10, 1_000), (20, 1_000), (30, 3_000)])
    assert [row[-1] for row in plot.rows] == ["100", "0", "200"]


@given(STEPS)
def test_the_rates_add_up_to_what_was_done(steps: list[tuple[float, int]]) -> None:
    points, at, done = [(0.0, 0)], 0.0, 0
    for seconds, records in steps:
        at, done = at + seconds, done + records
        points.append((at, done))
    plot = rate("title", points)
    assert len(plot.rows) == min(len(steps), RATES)
    each = max(at, 1.0) / len(plot.rows)
    total = sum(float(row[-1].replace(",", "")) for row in plot.rows) * each
    assert total == pytest.approx(done, abs=each * len(plot.rows))
