"""Many runs at a glance: rows that cost one query, however many runs there are."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from worker import present
from worker.states import UNFINISHED
from worker.tables import Chunk, Run

Row = dict[str, Any]


def rows(session: Session, query: Select[Run]) -> list[Row]:
    """Each run of the query, in its order, with what was changed so far."""
    found = session.scalars(query).all()
    changed = _changed(session, found)
    return [row(run, changed.get(run.id, 0)) for run in found]


def row(run: Run, changed: int) -> Row:
    words = present.state_in_words(
        {
            "state": str(run.state),
            "trigger": run.trigger,
            "planned": run.planned,
            "remaining": run.remaining,
        }
    )
    return {
        "id": f"r-{run.id}",
        "policy": run.policy,
        "state": str(run.state),
        "words": words.replace("_", " "),
        "is_unfinished": run.state in UNFINISHED,
        "planned": run.planned if run.digest else None,
        "changed": changed,
        "actor": run.actor,
        "reason": run.reason,
        "created_at": run.created_at,
        "why": run.error or run.refusal or run.approval_cause,
    }


def _changed(session: Session, found: Sequence[Run]) -> dict[int, int]:
    summed = session.execute(
        select(Chunk.run_id, func.sum(Chunk.changed))
        .where(Chunk.run_id.in_([run.id for run in found]), Chunk.direction == "apply")
        .group_by(Chunk.run_id)
    )
    return {run_id: int(count) for run_id, count in summed}
