"""What follows once a person's wish is on record: workers are woken, a cancelled run is tidied."""

from functools import partial

import structlog
from sqlalchemy import update

from worker import advance, database, operations, queue, relay
from worker.database import Database
from worker.documents.runs import Say
from worker.engine import Engine
from worker.errors import QueueUnreachable, TargetError
from worker.logs import safe_text
from worker.operations import Person
from worker.settings import Settings
from worker.states import UNFINISHED
from worker.tables import Run

log = structlog.get_logger()


def ring(settings: Settings, db: Database, say: Say) -> None:
    """Wake the workers now. Without Redis the wish stands all the same, and `say` is told."""
    broker = queue.connect(settings.need("redis_url"))
    try:
        with db.transaction() as session:
            moment = database.now(session)
        relay.relay(db, partial(queue.ring, broker), moment)
    except QueueUnreachable as error:
        say(str(error))
    finally:
        broker.close()


def cancel(engine: Engine, run_id: int, person: Person, say: Say) -> None:
    """End a run for good; a target that is away keeps nobody from it."""
    try:
        operations.cancel(engine, run_id, person)
    except TargetError as error:
        say(
            f"r-{run_id} is cancelled, but its fences are not closed yet: {safe_text(error)} A "
            "worker closes them."
        )
    else:
        tidy(engine, run_id, say)
    release(engine.database, run_id)


def tidy(engine: Engine, run_id: int, say: Say) -> None:
    """The summary that a finished run owes the application; a worker tries again if it fails."""
    try:
        advance.tidy(engine, run_id)
    except Exception as error:
        log.warning("summary not mirrored", run=run_id, why=safe_text(error), exc_info=error)
        say(f"The summary of r-{run_id} is not in the application's log yet: {safe_text(error)}")


def release(db: Database, run_id: int) -> None:
    """What is over belongs to the workers again: they tidy it, and expire its archive."""
    with db.transaction() as session:
        over = update(Run).where(Run.id == run_id, Run.state.not_in(UNFINISHED))
        session.execute(over.values(inline=False))
