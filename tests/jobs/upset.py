"""What a task's test says of each of its shipped policies, for the contract test to try."""

from collections.abc import Callable
from typing import NamedTuple

from tests.worker.scenario import Scenario


class Upset(NamedTuple):
    """How to bring it about that the policy has so many items to perform, and where it writes."""

    arrange: Callable[[Scenario], None]
    items: int
    collections: tuple[str, ...]
