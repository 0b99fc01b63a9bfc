"""How a figure is told: the median and the range of its rounds."""

from collections.abc import Sequence
from statistics import median


def told(values: Sequence[float], unit: str, digits: int = 2) -> str:
    """`1.23 s (1.10 to 1.40 over 5)`."""
    low, middle, high = (
        f"{value:,.{digits}f}" for value in (min(values), median(values), max(values))
    )
    return f"{middle} {unit} ({low} to {high} over {len(values)})"


def ratios(left: Sequence[float], right: Sequence[float]) -> list[float]:
    """Round by round, so that what slows a whole round down slows both of its sides."""
    return [one / other for one, other in zip(left, right, strict=True)]
