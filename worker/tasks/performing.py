"""Performing a task: one claimed chunk, batch by batch, each counted when it was done.

No target holds a fence: a batch whose worker is lost is performed again, and each of its writes
asks its own condition.
"""

from contextlib import AbstractContextManager
from functools import partial

import structlog

from jobs.base import Item
from worker import claims, guards, leases, runs
from worker.applying import KEYS, PASSING
from worker.claims import Claim
from worker.engine import Engine
from worker.errors import ArchiveExpired, ClaimLost, DatabaseUnreachable
from worker.logs import safe_text
from worker.planner import payload_name
from worker.registry import family_of
from worker.tables import Chunk
from worker.tasks.context import Performing
from worker.tasks.planning import unpacked
from worker.tasks.work import TaskWork, thaw

log = structlog.get_logger()


def work_on(engine: Engine, claim: Claim) -> bool:
    """Work on a chunk until it is done, lost or given back; returns whether it was finished."""
    try:
        with _lease_kept(engine, claim):
            return _tried(engine, claim)
    except ClaimLost as error:
        log.info("claim lost", run=claim.run_id, chunk=claim.number, why=safe_text(error))
        return False


def _tried(engine: Engine, claim: Claim) -> bool:
    try:
        return _through(engine, claim)
    except (ClaimLost, DatabaseUnreachable):
        raise  # nothing can be recorded; the lease ends by itself
    except PASSING as error:
        _retry(engine, claim, error)
    except Exception as error:  # whatever a job raises, the run must say so
        log.exception("chunk failed", run=claim.run_id, chunk=claim.number)
        claims.fail(engine.database, claim, None, engine.actor, safe_text(error))
    return False


def _through(engine: Engine, claim: Claim) -> bool:
    work, items, cursor = _load(engine, claim)
    context = Performing(engine, family_of(work.job), work.as_of)
    size, pause = work.policy.batch.records, work.policy.batch.pause
    while True:
        leave = claims.progress(engine.database, claim, None)
        if leave is None or engine.draining.is_set():
            claims.release(engine.database, claim, None, engine.actor)
            return False
        if cursor == claim.items:
            claims.finish(engine.database, claim, None, engine.actor)
            return True
        batch = items[cursor : cursor + size]
        guards.check_batch(work.guards, leave.changed, len(batch))
        outcomes = work.job.perform(context, work.policy, batch)
        if outcomes.total != len(batch):
            raise AssertionError(
                f"job {work.job.name} accounted for {outcomes.total} of {len(batch)} items"
            )
        cursor += len(batch)
        claims.performed(engine.database, claim, cursor, outcomes)
        if pause is not None:
            engine.draining.wait(pause.delta.total_seconds())


def _load(engine: Engine, claim: Claim) -> tuple[TaskWork, list[Item], int]:
    with engine.database.transaction() as session:
        run = runs.get(session, claim.run_id)
        chunk = session.get_one(Chunk, (claim.run_id, claim.direction, claim.number))
    work = thaw(run, engine.keyring)
    if chunk.payload is None:
        raise ArchiveExpired(f"The plan of r-{run.id} is past its time; plan anew.")
    payload = work.key.open(chunk.payload, payload_name(run, chunk.number))
    return work, unpacked(payload, KEYS), chunk.cursor


def _retry(engine: Engine, claim: Claim, error: Exception) -> None:
    """Give the chunk back for a later try, unless it had as many as it may."""
    text = safe_text(error)
    log.warning("chunk was not finished", run=claim.run_id, chunk=claim.number, why=text)
    if claims.retries_left(engine.database, claim, None):
        claims.release(engine.database, claim, None, engine.actor, retry=text)
    else:
        claims.fail(engine.database, claim, None, engine.actor, text)


def _lease_kept(engine: Engine, claim: Claim) -> AbstractContextManager[None]:
    """One item may take minutes, as a slow shop's answer does: a thread says who is at it."""
    return leases.kept(claim.run_id, partial(claims.renew, engine.database, claim))
