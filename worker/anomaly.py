"""The anomaly gate: a scheduled plan far outside its policy's own last runs asks a person first.

`docs/approval.md` explains the rule and what its two numbers mean.
"""

from collections.abc import Sequence

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.states import State
from worker.tables import Run

LOOKED_AT = 10
NEEDED = 5
"""With fewer runs to compare with, whoever enabled the policy has just seen what it plans."""
TIMES = 3
"""If runs varied as widely as waiting times do, one in 286 would be more than three times the
largest of the ten before it; of steadier ones hardly any."""
FLOOR = 10
"""Up to a tenth of `max_records` nothing is far outside, for small numbers jump by themselves."""


def cause(session: Session, run: Run, max_records: int) -> str | None:
    """Why this plan is not like the policy's last ones, in words; None if it is."""
    past = session.scalars(
        select(Run.planned)
        .where(Run.policy == run.policy, Run.trigger == "schedule", Run.id != run.id)
        .where(Run.state == State.SUCCEEDED)
        .order_by(Run.id.desc())
        .limit(LOOKED_AT)
    ).all()
    if len(past) < NEEDED or run.planned <= usual(past, max_records):
        return None
    return (
        f"{run.planned:,} records are far more than its last {len(past)} scheduled runs had: they "
        f"had {max(past):,} at most, and up to {usual(past, max_records):,} count as usual"
    )


def usual(past: Sequence[int], max_records: int) -> int:
    """The largest plan that is not far outside of these."""
    return max(TIMES * max(past), max_records // FLOOR)
