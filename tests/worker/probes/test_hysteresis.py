"""Hysteresis, against an oracle that looks at the whole past."""

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.examples import examples
from worker.probes.hysteresis import Standing, after


def expected(looks: list[bool], raise_after: int, clear_after: int) -> bool:
    """Whether it stands in the end: by the last look back at which so many agreed."""
    for end in range(len(looks), 0, -1):
        if end >= raise_after and all(looks[end - raise_after : end]):
            return True
        if end >= clear_after and not any(looks[end - clear_after : end]):
            return False
    return False


@settings(max_examples=examples(2_000), deadline=None)
@given(st.lists(st.booleans(), max_size=30), st.integers(1, 5), st.integers(1, 5))
def test_it_stands_exactly_as_the_last_looks_that_agreed_say(
    looks: list[bool], raise_after: int, clear_after: int
) -> None:
    standing: Standing | None = None
    for number, is_ill in enumerate(looks, start=1):
        standing = after(standing, is_ill, raise_after, clear_after)
        raised = standing is not None and standing.raised
        assert raised == expected(looks[:number], raise_after, clear_after)


@settings(max_examples=examples(500), deadline=None)
@given(st.integers(1, 5), st.integers(1, 5), st.integers(0, 20))
def test_what_was_well_long_enough_is_forgotten(
    raise_after: int, clear_after: int, ill: int
) -> None:
    standing: Standing | None = None
    for _ in range(ill):
        standing = after(standing, True, raise_after, clear_after)
    for _ in range(clear_after):
        standing = after(standing, False, raise_after, clear_after)
    assert standing is None
