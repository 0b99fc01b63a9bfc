"""The summary of a finished run in its application's own log, if it has one: by the run's id."""

from sqlalchemy import update

from policies.models import Policy
from worker import claims, database, runs
from worker.engine import Engine
from worker.registry import any_job_of, frozen_policy, is_task
from worker.states import State
from worker.tables import Run
from worker.targets.base import Target
from worker.targets.kinds import kinds_of

MIRRORED = frozenset({State.SUCCEEDED, State.FAILED, State.CANCELLED, State.UNDONE})


def mirror(engine: Engine, run_id: int) -> None:
    """Write the summary; raises `TargetError`, and whoever looks at the run next tries again."""
    with engine.database.transaction() as session:
        run = runs.get(session, run_id)
        totals = claims.totals(session, run_id)
        cascade = claims.cascade(session, run_id)
        restored = claims.totals(session, run_id, "undo").changed
        at = run.finished_at or database.now(session)
    policy = frozen_policy(run.policy_text)
    job = any_job_of(policy)
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
    target = _log_of(engine, run, policy, totals.changed)
    if target is not None:
        target.mirror(f"tend:{run.token}", job.mirror_action, details, at)
    with engine.database.transaction() as session:
        session.execute(
            update(Run)
            .where(Run.id == run_id, Run.state == run.state)
            .values(mirrored_at=database.now(session))
        )


def _log_of(engine: Engine, run: Run, policy: Policy, changed: int) -> Target | None:
    """Where the summary goes; a task that looks every few seconds is in it if it did something."""
    if not is_task(policy):
        return engine.target_of_run(run)
    kinds = [kind for kind in kinds_of(policy) if kind in engine.targets]
    return engine.targets[kinds[0]] if kinds and changed else None
