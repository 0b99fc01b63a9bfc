"""The reconciler: rings again for whatever is unfinished, since Redis may lose every message."""

from datetime import datetime, timedelta

from sqlalchemy import ColumnElement, and_, exists, or_, select

from worker import database, runs
from worker.database import Database
from worker.evidence import manifests
from worker.mirror import MIRRORED
from worker.settling import may_be_open
from worker.states import UNFINISHED, State
from worker.tables import Chunk, Doorbell, Process, Run

UNFINISHED_EVERY = timedelta(seconds=10)
TIDY_EVERY = timedelta(seconds=60)
WORKER_GONE = timedelta(seconds=30)
BATCH = 200


def reconcile(db: Database) -> int:
    """Owe a doorbell to each run that needs a look and has none; returns how many.

    While no worker lives nothing is rung, so that an outage does not fill the queue.
    """
    with db.transaction() as session:
        moment = database.now(session)
        alive = select(
            exists().where(Process.kind == "worker", Process.seen_at > moment - WORKER_GONE)
        )
        if not session.scalar(alive):
            return 0
        rung = exists().where(Doorbell.run_id == Run.id, Doorbell.due_at <= moment)
        unfinished = and_(
            Run.state.in_(UNFINISHED),
            Run.inline.is_(False),
            or_(Run.not_before.is_(None), Run.not_before <= moment),
            or_(
                Run.rung_at.is_(None),
                Run.rung_at < moment - UNFINISHED_EVERY,
                _lost_its_worker(moment),
            ),
        )
        past = and_(Run.expires_at < moment, Run.key.is_not(None))
        unsettled = and_(
            Run.state == State.CANCELLED,
            exists().where(may_be_open(Run.id)),
        )
        unmirrored = and_(Run.state.in_(MIRRORED), Run.mirrored_at.is_(None))
        unlisted = and_(Run.key.is_not(None), exists().where(manifests.owed(Run.id)))
        untidy = and_(
            Run.state.not_in(UNFINISHED),
            or_(past, unsettled, unmirrored, unlisted),
            or_(Run.rung_at.is_(None), Run.rung_at < moment - TIDY_EVERY),
        )
        owed = session.scalars(
            select(Run).where(or_(unfinished, untidy), ~rung).order_by(Run.id).limit(BATCH)
        ).all()
        for run in owed:
            runs.ring(session, run, moment)
        return len(owed)


def _lost_its_worker(moment: datetime) -> ColumnElement[bool]:
    """A lease has ended since the run was rung for: somebody else can take over at once."""
    chunk = and_(
        Chunk.run_id == Run.id,
        Chunk.state == "claimed",
        Chunk.lease_until < moment,
        or_(Run.rung_at < Chunk.lease_until, Run.rung_at > moment),
    )
    own = and_(Run.lease_until < moment, Run.rung_at < Run.lease_until)
    return or_(exists().where(chunk), own)
