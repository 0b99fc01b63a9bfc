"""The models of a probe: what is watched, how often, and how many looks in a row decide.

`docs/probes.md` documents every key. Each file of `probes/` in a policy directory is one probe.
"""

from collections.abc import Mapping
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType
from typing import Annotated, ClassVar, NamedTuple

from pydantic import Field, SerializeAsAny, StrictInt, model_validator

from policies.durations import Duration
from policies.models import PolicyOptions
from policies.selectors import Vocabulary

FOLDER = "probes"
SECONDS = 30
"""What a look may take where the probe does not say."""


class Severity(StrEnum):
    """How bad a trouble is; P0 is the worst."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"


class Check(NamedTuple):
    """One question that a kind of probe asks, and what it means if the answer is bad."""

    severity: Severity
    unit: str
    """Of the value that is kept and plotted; empty where there is none."""
    means: str
    todo: str


ANSWERS = "answers"


class ProbeOptions(PolicyOptions):
    """What a probe of one kind may say; each kind brings its own."""

    CHECKS: ClassVar[Mapping[str, Check]] = MappingProxyType(
        {
            ANSWERS: Check(
                Severity.P1,
                "",
                "What is watched does not answer, or not in time: whatever needs it fails.",
                "See whether it runs and can be reached from this host, then read its log.",
            )
        }
    )

    @property
    def is_empty(self) -> bool:
        """Whether nothing is named yet that could be looked at."""
        return False


class Probe(Vocabulary):
    """One probe: it looks and never changes anything."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,63}$")]
    kind: str
    description: str
    options: SerializeAsAny[ProbeOptions]
    enabled: bool = True
    every: Duration = Field(default="1m", validate_default=True)
    within: Duration | None = None
    raise_after: Annotated[StrictInt, Field(ge=1, le=100)] = 3
    clear_after: Annotated[StrictInt, Field(ge=1, le=100)] = 2
    severity: Mapping[str, Severity] = Field(default_factory=dict)
    ignore: tuple[str, ...] = ()

    @model_validator(mode="after")
    def _ends_before_the_next(self) -> "Probe":
        if self.every.delta < timedelta(seconds=1):
            raise ValueError("every must be at least 1s")
        if self.within is not None and not timedelta(0) < self.within.delta <= self.every.delta:
            raise ValueError("within must be longer than 0 and no longer than every")
        return self

    @model_validator(mode="after")
    def _names_its_checks(self) -> "Probe":
        known = self.options.CHECKS
        for name in (*self.severity, *self.ignore):
            if name not in known:
                choices = ", ".join(sorted(known))
                raise ValueError(f"there is no check '{name}'; choose from: {choices}")
        return self

    @property
    def seconds(self) -> float:
        """The longest that one look may take."""
        every = self.every.delta.total_seconds()
        return min(every, SECONDS) if self.within is None else self.within.delta.total_seconds()

    def check(self, name: str) -> Check:
        """What a check asks, with the severity that this probe gives it."""
        known = self.options.CHECKS[name]
        return known._replace(severity=self.severity.get(name, known.severity))
