"""The summary of a finished run in its application's own log, if it has one: by the run's id."""

from sqlalchemy import update

from worker import claims, database, runs
from worker.engine import Engine
from worker.registry import frozen_policy, job_of
from worker.states import State
from worker.tables import Run

MIRRORED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.UNDONE})


def mirror(engine: Engine, run_id: int) -> None:
    """Write the summary; raises `TargetError`, and whoever looks at the run next tries again."""
    with engine.database.transaction() as session:
        run = runs.get(session, run_id)
        totals = claims.totals(session, run_id)
        cascade = claims.cascade(session, run_id)
        restored = claims.totals(session, run_id, "undo").changed
        at = run.finished_at or database.now(session)
    job = job_of(frozen_policy(run.policy_text))
    details = {
        "runId": f"r-{run.id}",
        "policy": run.policy,
        "state": run.state,
        job.mirror_count: totals.changed,
        **({"cascade": cascade} if cascade else {}),
        "restoredCount": restored,
        "cutoffDate": run.cutoff,
        "environment": run.environment,
    }
    engine.target_of_run(run).mirror(f"tend:{run.token}", job.mirror_action, details, at)
    with engine.database.transaction() as session:
        session.execute(
            update(Run)
            .where(Run.id == run_id, Run.state == run.state)
            .values(mirrored_at=database.now(session))
        )
