"""Settling: close the fences of a run that may change nothing more, and count what they say.

Cancel and undo settle first. It may be done any number of times, by anyone.
"""

from collections import Counter

from sqlalchemy import ColumnElement, and_, func, or_, select
from sqlalchemy.orm import InstrumentedAttribute, Session

from worker import claims, database, objects, runs
from worker.claims import Batches
from worker.engine import Engine
from worker.identity import Actor
from worker.registry import frozen_policy
from worker.states import State
from worker.tables import Chunk, Run
from worker.tasks.work import is_task_run

OPEN = ("claimed", "pending", "failed")
"""The states of a chunk whose fence may be open, once somebody has worked on it."""


def settle(engine: Engine, run_id: int, actor: Actor) -> None:
    """After this no batch of the run commits, and its counts are exactly those of its fences."""
    with engine.database.transaction() as session:
        run = runs.get(session, run_id)
        still_open = unsettled(session, run_id)
    for direction, number in still_open:
        batches: Batches = None
        if not is_task_run(run):
            batches = engine.target_of_run(run).close_fence(f"{run.token}/{direction}/{number}")
        with engine.database.transaction() as session:
            run = runs.get(session, run_id, lock=True)
            chunk = session.get_one(Chunk, (run_id, direction, number), with_for_update=True)
            was_claimed = chunk.state == "claimed"
            recorded = len(chunk.archives)
            if batches is not None:
                claims.apply_batches(chunk, batches)
            chunk.state = "stopped"
            chunk.lease_until = None
            if was_claimed or (batches is not None and len(batches) > recorded):
                claims.record_outcome(session, run, chunk, actor, "stopped")


def unsettled(session: Session, run_id: int) -> list[tuple[str, int]]:
    """Direction and number of the chunks whose fences may still be open."""
    found = session.execute(select(Chunk.direction, Chunk.number).where(may_be_open(run_id)))
    return [(direction, number) for direction, number in found]


def may_be_open(run_id: int | InstrumentedAttribute[int]) -> ColumnElement[bool]:
    """Chunks of a run that somebody worked on and nobody finished."""
    return and_(Chunk.run_id == run_id, Chunk.attempt > 0, Chunk.state.in_(OPEN))


def is_open(chunk: Chunk) -> bool:
    """The same of one chunk."""
    return chunk.attempt > 0 and chunk.state in OPEN


def prepare_undo(engine: Engine, run_id: int) -> None:
    """Settle, then cut one undo chunk for each chunk of which something is still changed."""
    settle(engine, run_id, engine.actor)
    with engine.database.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        if run.state != State.UNDOING or run.phase != "settle":
            return
        back = _stop_earlier_undo(session, run)
        changed = session.scalars(
            select(Chunk).where(
                Chunk.run_id == run_id,
                Chunk.direction == "apply",
                or_(Chunk.changed > 0, Chunk.children > 0),
            )
        ).all()
        number = undo_chunks(session, run_id)
        for source in changed:
            if source.changed + source.children > back[source.number]:
                size = len(objects.changed(source))
                chunk = Chunk(run_id=run_id, direction="undo", number=number, items=size)
                chunk.source = source.number
                session.add(chunk)
                number += 1
        run.phase = "undo"
        if not run.inline:
            policy = frozen_policy(run.policy_text)
            runs.ring(session, run, database.now(session), rings=policy.writers)


def undo_chunks(session: Session, run_id: int) -> int:
    """How many there are, which is also the number of the next one."""
    query = select(func.count()).select_from(Chunk)
    found = session.scalar(query.where(Chunk.run_id == run_id, Chunk.direction == "undo"))
    return int(found or 0)


def _stop_earlier_undo(session: Session, run: Run) -> Counter[int | None]:
    """Nobody goes on with it; returns how many records of each chunk it has brought back."""
    back: Counter[int | None] = Counter()
    for chunk in session.scalars(
        select(Chunk).where(Chunk.run_id == run.id, Chunk.direction == "undo")
    ):
        back[chunk.source] += chunk.changed + chunk.children
        chunk.judged_again = True
        if chunk.state != "done":
            chunk.state = "stopped"
    return back
