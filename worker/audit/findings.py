"""What a verification finds: sentences, and against which of the two verdicts each speaks."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Literal

MAX_FINDINGS = 1_000
"""Findings that are kept; the rest are only counted."""

Verdict = Literal["integrity", "completeness"]


class Lacking(str):
    """A sentence about what is not there: against completeness; any other is against integrity."""

    __slots__ = ()


@dataclass(frozen=True)
class Finding:
    """One thing that is off, in one sentence, and where."""

    verdict: Verdict
    entry: int | None
    run: int | None
    says: str


def finding(says: str, *, entry: int | None = None, run: int | None = None) -> Finding:
    """A finding of what the sentence, or its beginning in `Lacking`, is about."""
    return Finding(verdict_of(says), entry, run, str(says))


def verdict_of(says: str) -> Verdict:
    return "completeness" if isinstance(says, Lacking) else "integrity"


@dataclass
class Report:
    """What was looked at, and what was found."""

    entries: int = 0
    runs: int = 0
    open_claims: int = 0
    positions: int = 0
    """How many entries have one."""
    verified_from: int = 0
    """The position at which this verification began; what is before was verified earlier."""
    checkpoints: int = 0
    anchors: int = 0
    """Checkpoints outside the database that were compared."""
    waiting: int = 0
    """Entries that wait for their position."""
    exposed: int | None = None
    """Positions that no checkpoint outside the database covers; None if there is no such place."""
    anchored_at: str | None = None
    signed: str | None = None
    """If nothing is off: size and root, from which the next verification may begin."""
    integrity: int = 0
    """Findings that something is not as it was written."""
    completeness: int = 0
    """Findings that something is not there."""
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    @property
    def faults(self) -> int:
        """Both, also those beyond the ones that are kept."""
        return self.integrity + self.completeness

    def add(self, found: Iterable[Finding]) -> None:
        for each in found:
            if each.verdict == "integrity":
                self.integrity += 1
            else:
                self.completeness += 1
            if len(self.findings) < MAX_FINDINGS:
                self.findings.append(each)
