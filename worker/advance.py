"""What a run needs next, decided from its row alone: the same for a worker and for `--inline`.

A doorbell only says "look"; ringing it twice, late or for nothing does no harm.
"""

import time
from datetime import timedelta

import structlog
from sqlalchemy import delete, select, update
from structlog.contextvars import bound_contextvars

from worker import (
    applying,
    brake,
    claims,
    cron_monitors,
    database,
    held_archives,
    mirror,
    planner,
    runs,
    settling,
    statsd,
    verifying,
)
from worker.audit import entries
from worker.engine import Engine
from worker.errors import (
    ArchiveError,
    ClaimLost,
    DatabaseUnreachable,
    DeadlineExceeded,
    Draining,
    GuardRefused,
    TargetUnreachable,
)
from worker.evidence import manifests
from worker.logs import safe_text
from worker.own_data import is_own_data
from worker.states import State
from worker.tables import Chunk, Doorbell, Entry, Run
from worker.tasks import ending, performing
from worker.tasks import planning as tasks_planning
from worker.tasks.work import is_task_run
from worker.throttle import regulator

log = structlog.get_logger()

LOOK_AGAIN = timedelta(days=1)
"""When an archive that a legal hold kept beyond its time is asked for again."""
SWEEP_AFTER = timedelta(days=1)
"""When a destroyed archive is emptied once more: a worker that was overtaken may write late."""
OPERATIONS = {
    State.QUEUED: "plan",
    State.PLANNING: "plan",
    State.APPLYING: "apply",
    State.VERIFYING: "verify",
    State.UNDOING: "undo",
}
"""What StatsD calls a look at a run in each of these states."""
SHIFT_SECONDS = 10.0
"""How long one doorbell works on a run before other runs get their turn."""


def advance(engine: Engine, run_id: int, *, seconds: float = SHIFT_SECONDS) -> None:
    """Do what the run needs now, for about `seconds`; what remains is rung for again."""
    until = time.monotonic() + seconds
    while not engine.draining.is_set() and time.monotonic() < until:
        if not _step(engine, run_id):
            return
    with engine.database.transaction() as session:
        run = runs.get(session, run_id)
        if not run.inline:
            runs.ring(session, run, database.now(session))


def _step(engine: Engine, run_id: int) -> bool:
    """One step; returns whether there may be another to do now."""
    with engine.database.transaction() as session:
        run = session.get(Run, run_id)
        if run is None:
            log.info("a ring for a run that is no more: a look that found nothing", run=run_id)
            return False
        state, phase, inline = State(run.state), run.phase, run.inline
        is_task = is_task_run(run)
    if inline and not engine.is_inline:
        return False
    with bound_contextvars(run=run_id, policy=run.policy):
        if state not in OPERATIONS:
            return tidy(engine, run_id)
        with statsd.operation(OPERATIONS[state]):
            if OPERATIONS[state] == "plan":
                is_more = plan(engine, run_id)
            else:
                is_more = _carry_on(engine, run_id, state, phase, is_task=is_task)
        cron_monitors.check_in(engine.database, run_id, state)
        return is_more


def plan(engine: Engine, run_id: int, *, scan: bool = False) -> bool:
    """Plan a queued run; an error that planning cannot mend fails the run with its cause."""
    run = planner.begin(engine, run_id)
    if run is None:
        return False
    try:
        if is_task_run(run):
            return tasks_planning.plan(engine, run)
        planner.plan(engine, run, scan=scan)
    except ClaimLost as error:
        log.info("plan lost", run=run_id, why=safe_text(error))
        return False
    except Draining:
        planner.give_back(engine, run)
        return False
    except DatabaseUnreachable:
        raise
    except GuardRefused as error:
        _refuse(engine, run_id, error)
        if engine.is_inline:
            raise
        return False
    except Exception as error:
        _fail(engine, run_id, State.PLANNING, error)
        if engine.is_inline:
            raise
        return False
    return True


def _carry_on(engine: Engine, run_id: int, state: State, phase: str, *, is_task: bool) -> bool:
    """A step after the plan; what time cannot mend fails the run with its cause."""
    try:
        if state == State.VERIFYING:
            verify = ending.succeed if is_task else verifying.verify
            return verify(engine, run_id)
        if phase == "settle":
            settling.prepare_undo(engine, run_id)
            return True
        return _work(engine, run_id, is_task=is_task)
    except (TargetUnreachable, DeadlineExceeded) as error:
        log.warning("run will be tried again", run=run_id, state=state, why=safe_text(error))
        _let_go(engine, run_id)
        return False
    except (DatabaseUnreachable, ClaimLost):
        raise
    except Exception as error:  # noqa: BLE001 - whatever it is, the run must say so
        _fail(engine, run_id, state, error)
        return False


def _let_go(engine: Engine, run_id: int) -> None:
    """Who verifies next need not wait until the lease of this try ends."""
    with engine.database.transaction() as session:
        held = update(Run).where(Run.id == run_id, Run.state == State.VERIFYING)
        session.execute(held.values(lease_until=None))


def _work(engine: Engine, run_id: int, *, is_task: bool) -> bool:
    if not is_task:
        regulator.look_first(engine, run_id)
    claim = claims.claim(engine.database, run_id, engine.worker, engine.actor)
    if claim is None:
        return _close_empty(engine, run_id)
    work_on = performing.work_on if is_task else applying.work_on
    work_on(engine, claim)
    return True


def _close_empty(engine: Engine, run_id: int) -> bool:
    """A phase that has no chunk left to do is done: it had none, or failed after its last one."""
    with engine.database.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        direction = "undo" if run.state == State.UNDOING else "apply"
        if run.state != claims.WORKING[direction]:
            return True
        if not claims.all_done(session, run, direction):
            return False
        if direction == "apply":
            runs.move(session, run, State.VERIFYING, engine.actor)
        else:
            claims.end_undo(session, run, engine.actor)
        return True


def _fail(engine: Engine, run_id: int, state: State, error: Exception) -> None:
    log.warning("run failed", run=run_id, state=state, why=safe_text(error), exc_info=error)
    with engine.database.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        if run.state == state:
            claims.fail_run(session, run, engine.actor, safe_text(error))


def _refuse(engine: Engine, run_id: int, error: GuardRefused) -> None:
    """A guard that judges before the scan: there is no plan, so there is nothing to override."""
    log.warning("run refused", run=run_id, why=safe_text(error))
    refusal = safe_text(error).removesuffix(".")
    with engine.database.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        if run.state == State.PLANNING:
            runs.move(session, run, State.REFUSED, engine.actor, refusal=refusal)


def tidy(engine: Engine, run_id: int) -> bool:
    """What a run that is over still owes: manifests, its summary, and the end of its archive.

    Of the store, only what bears the token of one of our own runs is ever removed: another site's
    objects may lie beside it. A run without a key has nothing there that anybody could open.
    """
    with engine.database.transaction() as session:
        run = runs.get(session, run_id)
        moment = database.now(session)
        past = run.expires_at is not None and run.expires_at < moment and run.key is not None
        unsettled = run.state == State.CANCELLED and settling.unsettled(session, run_id)
        waiting = run.state in {State.PLANNED, State.AWAITING_APPROVAL}
        owes_mirror = run.mirrored_at is None and run.state in mirror.MIRRORED
        is_braked = brake.standing(session, run.policy, is_security=False) is not None
    if not unsettled:
        _list_records(engine, run)
    if unsettled:
        settling.settle(engine, run_id, engine.actor)
    elif past and waiting:
        _expire(engine, run_id)
    elif is_braked:
        return False  # who pulled it may want what would be destroyed
    elif past:
        _destroy(engine, run_id)
        return True
    elif owes_mirror:
        mirror.mirror(engine, run_id)
    elif run.key is None and run.expires_at is not None:
        engine.archive.destroy(run.token)
    return False


def _list_records(engine: Engine, run: Run) -> None:
    """Write the manifests that are owed; while the archive is out of reach they stay so."""
    try:
        manifests.write_owed(engine, run)
    except ArchiveError as error:
        log.warning("manifests stay owed", run=run.id, why=safe_text(error))


def _expire(engine: Engine, run_id: int) -> None:
    with engine.database.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        moment = database.now(session)
        if run.state in {State.PLANNED, State.AWAITING_APPROVAL}:
            runs.move(session, run, State.EXPIRED, engine.actor, finished_at=moment)


def _keep(engine: Engine, run_id: int) -> None:
    with engine.database.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        known = select(Entry.id).where(Entry.run_id == run_id, Entry.action == "archive_kept")
        if session.scalar(known.limit(1)) is None:
            entries.append(session, "archive_kept", engine.actor, run=run)
        run.expires_at = database.now(session) + LOOK_AGAIN


def _destroy(engine: Engine, run_id: int) -> None:
    """Past its time: objects, keys, samples and fences go; the run's key goes last copy and all.

    Not while a record in it is under a legal hold: then it is looked at again in a day.
    """
    with engine.database.transaction() as session:
        run = runs.get(session, run_id)
    if held_archives.is_kept(engine, run):
        _keep(engine, run_id)
        return
    manifests.write_owed(engine, run, at_the_end=True)
    engine.archive.destroy(run.token)
    if not is_task_run(run):
        engine.target_of_run(run).forget(run.token + "/")
    with engine.database.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        run.key = None
        run.sample = None
        session.execute(update(Chunk).where(Chunk.run_id == run_id).values(payload=None))
        session.execute(delete(Doorbell).where(Doorbell.run_id == run_id))
        if not is_own_data(run):  # a ring would be one more of the records that the policy tends
            runs.ring(session, run, database.now(session) + SWEEP_AFTER)
        entries.append(session, "archive_destroyed", engine.actor, run=run)
