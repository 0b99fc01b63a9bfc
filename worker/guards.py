"""Guards: limits on the whole plan, judged before the first write and where the write happens."""

from dataclasses import asdict, dataclass
from typing import Any

from policies.models import Guards
from worker.errors import GuardRefused


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


def judge(guards: Guards, planned: int, population: int) -> tuple[Verdict, ...]:
    """Judge a whole plan; 0 allows nothing. Of an empty population any record is 100 %."""
    percent = min(100 * planned / population, 100.0) if population else 100.0 * (planned > 0)
    return (
        Verdict("max_records", guards.max_records, planned, planned > guards.max_records),
        Verdict("max_percent", guards.max_percent, round(percent, 4), percent > guards.max_percent),
    )


def refusal(verdicts: tuple[Verdict, ...]) -> str | None:
    """One sentence that names every tripped guard, or None."""
    tripped = [verdict.sentence for verdict in verdicts if verdict.tripped]
    return "; ".join(tripped) or None


def check_again(guards: Guards, planned: int, changed: int, population_now: int) -> None:
    """Judge the plan against the population as it stands now, plus what this run took from it."""
    tripped = refusal(judge(guards, planned, population_now + changed))
    if tripped:
        raise GuardRefused(f"Looked at again before the write: {tripped}.")


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
