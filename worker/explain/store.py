"""Where the past is: runs in the control database, their keys, and what their archives hold."""

from collections.abc import Iterator
from dataclasses import dataclass

from sqlalchemy import ColumnElement, and_, func, or_, select

from worker import objects
from worker.archive import ArchiveStore
from worker.database import Database
from worker.keys import Keyring, RunKey
from worker.tables import Chunk, Run, RunCollection
from worker.targets.base import ArchiveRef


@dataclass(frozen=True)
class Store:
    """Where runs, their keys and their archives are."""

    database: Database
    archive: ArchiveStore
    keyring: Keyring


def runs_with_keys(db: Database, place: str) -> list[int]:
    """The runs that wrote here and whose plan and archive can still be opened, newest first."""
    with db.transaction() as session:
        kept = select(Run.id).where(_planned(place), Run.key.is_not(None))
        return list(session.scalars(kept.order_by(Run.id.desc())))


def destroyed(db: Database, place: str) -> int:
    """How many runs that wrote here can tell nothing any more."""
    with db.transaction() as session:
        gone = select(func.count()).select_from(Run).where(_planned(place), Run.key.is_(None))
        return int(session.scalar(gone) or 0)


def name_of(run: Run, place: str) -> str | None:
    """What the run's archives call this collection: None if it planned records of it."""
    return None if run.collection == place else place.partition("/")[2]


def archive_objects(store: Store, run: Run) -> Iterator[tuple[RunKey, ArchiveRef]]:
    """Every archive object that a run's changes left, with the key that opens it."""
    if run.key is None:
        return
    key = store.keyring.unwrap(run.key)
    for chunk in chunks(store.database, run.id, "apply"):
        yield from ((key, ref) for ref in objects.every(chunk))


def chunks(db: Database, run_id: int, direction: str) -> Iterator[Chunk]:
    """One at a time, each in a transaction of its own: decrypting is too slow for one."""
    after = -1
    while True:
        query = (
            select(Chunk)
            .where(Chunk.run_id == run_id, Chunk.direction == direction, Chunk.number > after)
            .order_by(Chunk.number)
            .limit(1)
        )
        with db.transaction() as session:
            chunk = session.scalars(query).first()
        if chunk is None:
            return
        yield chunk
        after = chunk.number


def _planned(place: str) -> ColumnElement[bool]:
    beside = select(RunCollection.run_id).where(RunCollection.collection == place)
    return and_(Run.digest.is_not(None), or_(Run.collection == place, Run.id.in_(beside)))
