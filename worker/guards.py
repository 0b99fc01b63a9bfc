"""Guards: limits on the whole plan, judged before the first write and where the write happens."""

import math
from collections.abc import Collection, Mapping
from dataclasses import asdict, dataclass
from typing import Any

from policies.models import Guards
from worker.errors import GuardRefused
from worker.tables import Run

PARENTS_LOST = 10
"""Percent of the parents that the plan saw; when more are gone, nothing of theirs is changed."""


@dataclass(frozen=True)
class Verdict:
    """One guard, what it allows, what the plan needs, and whether that is too much."""

    guard: str
    allowed: float
    actual: float
    tripped: bool

    @property
    def sentence(self) -> str:
        unit = " %" if self.guard == "max_percent" else " records"
        return (
            f"{self.guard} allows {_number(self.allowed)}{unit} "
            f"and the plan has {_number(self.actual)}{unit}"
        )

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


def judge(guards: Guards, planned: int, population: int, children: int = 0) -> tuple[Verdict, ...]:
    """Judge a whole plan; 0 allows nothing. Of an empty population any record is 100 %.

    `children` are the records of other collections that go with the planned ones.
    """
    records = planned + children
    percent = min(100 * planned / population, 100.0) if population else 100.0 * (planned > 0)
    return (
        Verdict("max_records", guards.max_records, records, records > guards.max_records),
        Verdict("max_percent", guards.max_percent, round(percent, 4), percent > guards.max_percent),
    )


def in_force(
    guards: Guards,
    overridden: Collection[str],
    planned: int,
    population: int,
    children: int = 0,
) -> Guards:
    """The limits of one run: one that was overridden is raised to what this very plan needs.

    A percentage is raised to the next whole one, for a living collection shrinks a little while
    people decide; every other guard stays as it is.
    """
    raised: dict[str, float] = {}
    for verdict in judge(guards, planned, population, children):
        if verdict.guard not in overridden:
            continue
        if verdict.guard == "max_percent":
            raised[verdict.guard] = min(math.floor(verdict.actual) + 1.0, 100.0)
        else:
            raised[verdict.guard] = planned + children
    return guards.model_copy(update=raised)


def refusal(verdicts: tuple[Verdict, ...]) -> str | None:
    """One sentence that names every tripped guard, or None."""
    tripped = [verdict.sentence for verdict in verdicts if verdict.tripped]
    return "; ".join(tripped) or None


def refusing(run: Run) -> list[str]:
    """The guards that refused a plan and that nobody has overridden for it."""
    verdicts = (run.preview or {}).get("guards", [])
    found = [str(verdict["guard"]) for verdict in verdicts if verdict["tripped"]]
    return [guard for guard in found if guard not in run.overrides]


def check_again(
    guards: Guards, planned: int, changed: int, population_now: int, children: int = 0
) -> None:
    """Judge the plan against the population as it stands now, plus what this run took from it."""
    tripped = refusal(judge(guards, planned, population_now + changed, children))
    if tripped:
        raise GuardRefused(f"Looked at again before the write: {tripped}.")


def check_parents(seen: Mapping[str, int], now: Mapping[str, int]) -> None:
    """Parents that are fewer by more than `PARENTS_LOST` may be missing for a moment only."""
    for name, before in seen.items():
        if 100 * now[name] < (100 - PARENTS_LOST) * before:
            raise GuardRefused(
                f"{name} had {before:,} records when the plan was made and has {now[name]:,} now, "
                f"over {PARENTS_LOST} % fewer: records may only seem to be orphans. Look into it, "
                "then plan anew."
            )


def children_of(run: Run) -> int:
    """How many records of other collections go with the planned ones."""
    return sum((run.preview or {}).get("cascade", {}).values())


def check_batch(guards: Guards, changed: int, batch: int) -> None:
    """What was changed so far plus the next batch stays within `max_records`."""
    if changed + batch > guards.max_records:
        raise GuardRefused(
            f"max_records allows {guards.max_records} records; {changed} were changed and the "
            f"next batch has {batch}."
        )


def _number(value: float) -> str:
    return (
        f"{value:,.4g}" if isinstance(value, float) and not value.is_integer() else f"{value:,.0f}"
    )
