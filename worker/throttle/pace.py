"""Pace: how large a batch may be, how long it should take, and how long to rest after it."""

from dataclasses import dataclass

from policies.models import Policy

SMALLEST = 50
"""No batch is made smaller because it is slow: what each batch costs by itself is the most then."""
LARGEST = 5_000
"""At `full`: what a batch costs by itself is shared by the most records that one may have."""


@dataclass(frozen=True)
class Pace:
    """`duty` is the part of the time that one writer may spend in batches."""

    largest: int
    seconds: float
    duty: float
    rate: float
    """Records a second at most."""
    writers: int

    def size_after(self, size: int, took: float) -> int:
        """The size of the next batch, so that it takes about `seconds`: half or twice at most."""
        factor = min(max(self.seconds / max(took, 1e-6), 0.5), 2.0)
        return max(int(size * factor), min(size, SMALLEST))

    def turn(self, records: int, took: float) -> float:
        """Seconds from the beginning of a batch to that of the next."""
        return max(took / self.duty, records / self.rate)


def of(policy: Policy) -> Pace:
    """The pace of a policy; measured in `benchmarks/pace.py`."""
    match policy.pace:
        case "gentle":
            return Pace(min(policy.batch.records, 100), 0.1, 0.4, 1_500, 1)
        case "normal":
            return Pace(policy.batch.records, 1.0, 1.0, float("inf"), policy.writers)
        case "full":
            return Pace(LARGEST, float("inf"), 1.0, float("inf"), policy.writers)
