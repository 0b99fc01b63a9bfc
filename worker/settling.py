"""Settling: close the fences of a run that may change nothing more, and count what they say.

Cancel and undo settle first. It may be done any number of times, by anyone.
"""

from sqlalchemy import ColumnElement, and_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from worker import claims, database, runs
from worker.engine import Engine
from worker.identity import Actor
from worker.registry import frozen_policy
from worker.states import State
from worker.tables import Chunk


def settle(engine: Engine, run_id: int, actor: Actor) -> None:
    """After this no batch of the run commits, and its counts are exactly those of its fences."""
    with engine.database.transaction() as session:
        run = runs.get(session, run_id)
        numbers = unsettled(session, run_id)
    for number in numbers:
        batches = engine.target_of_run(run).close_fence(f"{run.token}/apply/{number}")
        with engine.database.transaction() as session:
            run = runs.get(session, run_id, lock=True)
            chunk = session.get_one(Chunk, (run_id, "apply", number), with_for_update=True)
            was_claimed = chunk.state == "claimed"
            recorded = len(chunk.archives)
            claims.apply_batches(chunk, batches)
            chunk.state = "stopped"
            chunk.lease_until = None
            if was_claimed or len(batches) > recorded:
                claims.record_outcome(session, run, chunk, actor, "stopped")


def unsettled(session: Session, run_id: int) -> list[int]:
    """The numbers of the chunks whose fences may still be open."""
    return list(session.scalars(select(Chunk.number).where(may_be_open(run_id))))


def may_be_open(run_id: int | InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """Chunks of a run that somebody worked on and nobody finished."""
    return and_(
        Chunk.run_id == run_id,
        Chunk.direction == "apply",
        Chunk.attempt > 0,
        Chunk.state.in_(("claimed", "pending", "failed")),
    )


def prepare_undo(engine: Engine, run_id: int) -> None:
    """Settle, then cut one undo chunk for each chunk that changed something."""
    settle(engine, run_id, engine.actor)
    with engine.database.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        if run.state != State.UNDOING or run.phase != "settle":
            return
        changed = session.scalars(
            select(Chunk).where(
                Chunk.run_id == run_id, Chunk.direction == "apply", Chunk.changed > 0
            )
        ).all()
        for chunk in changed:
            size = len(chunk.archives)
            session.add(Chunk(run_id=run_id, direction="undo", number=chunk.number, items=size))
        run.phase = "undo"
        if not run.inline:
            policy = frozen_policy(run.policy_text)
            runs.ring(session, run, database.now(session), rings=policy.writers)
