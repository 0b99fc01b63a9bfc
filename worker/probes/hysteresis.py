"""Hysteresis: so many looks in a row raise a trouble, and so many clear it again."""

from typing import NamedTuple


class Standing(NamedTuple):
    """A subject that is, or was lately, ill; one that is well has no standing at all."""

    ill: int
    well: int
    raised: bool


def after(
    standing: Standing | None, is_ill: bool, raise_after: int, clear_after: int
) -> Standing | None:
    """What one more look makes of it; None is well."""
    ill, well, raised = standing or Standing(0, 0, False)
    if is_ill:
        ill = min(ill + 1, raise_after)
        return Standing(ill, 0, raised or ill >= raise_after)
    if not raised or well + 1 >= clear_after:
        return None
    return Standing(ill, well + 1, True)
