"""What a task's run needs beyond its chunks: it succeeds without asking a selector again."""

from worker import claims, database, runs
from worker.engine import Engine
from worker.states import State


def succeed(engine: Engine, run_id: int) -> bool:
    """Nothing is left that could be asked again: what was planned is performed."""
    with engine.database.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        if run.state != State.VERIFYING:
            return False
        moment = database.now(session)
        detail = claims.succeeded(session, run)
        ended = {"finished_at": moment, "expires_at": moment}
        runs.move(session, run, State.SUCCEEDED, engine.actor, detail=detail, **ended)
    return True
