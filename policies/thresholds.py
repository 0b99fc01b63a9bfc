"""From when on something is an alert."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

from pydantic import Field

from policies.durations import Age, Duration
from policies.selectors import Vocabulary
from policies.single_file import load_one

FILE = Path("alerts") / "thresholds.yaml"
Percent = Annotated[float, Field(gt=0, le=100)]


class ErrorRate(Vocabulary):
    """Of the runs made `within` that time that are over, so many have failed."""

    within: Duration = Age(1, "d")
    runs: Annotated[int, Field(ge=1)] = 10
    """Of fewer, no share is formed."""
    percent: Percent = 25


class Resources(Vocabulary):
    """What one process of Tend may use."""

    memory_mib: Annotated[int, Field(ge=1)] = 512
    cpu_percent: Percent = 95
    """Of one core, in the mean of the last minutes."""


class Thresholds(Vocabulary):
    """A length of time is how long something must have lasted."""

    scheduler_missing: Duration = Age(15, "m")
    worker_missing: Duration = Age(15, "m")
    approval_waiting: Duration = Age(4, "h")
    policy_overdue: Duration = Age(6, "h")
    records_overdue: Duration = Age(3, "d")
    target_unreachable: Duration = Age(2, "m")
    target_seconds: Annotated[float, Field(gt=0)] = 2.0
    error_rate: ErrorRate = ErrorRate()
    resources: Resources = Resources()


def load_thresholds(directories: Sequence[Path]) -> Thresholds:
    """Read `alerts/thresholds.yaml` of every directory, later ones over earlier ones.

    Raises `PolicyError` with file, line and key.
    """
    return load_one(directories, FILE, Thresholds) or Thresholds()
