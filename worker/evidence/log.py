"""The part of the audit log that a bundle or an export speaks of."""

from collections.abc import Collection, Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, exists, func, select
from sqlalchemy.orm import Session

from worker.audit import checkpoints, tree
from worker.audit.streaming import streamed
from worker.errors import NotSigned
from worker.tables import Checkpoint, Entry, Position, Unsequenced

_PAGE = 1_000


def newest(session: Session) -> Checkpoint:
    """The newest checkpoint. Raises `NotSigned` while there is none."""
    found = checkpoints.latest(session)
    if found is None:
        raise NotSigned("The audit log has no checkpoint yet; a scheduler signs one, see it runs.")
    return found


def covering(session: Session, until: datetime) -> Checkpoint:
    """The newest checkpoint, which covers every entry before `until`.

    Raises `NotSigned` while there is none.
    """
    newest = checkpoints.latest(session)
    waiting = select(exists().where(Unsequenced.entry_id == Entry.id, Entry.at < until))
    beyond = select(func.max(Position.position)).join(Entry, Entry.id == Position.entry_id)
    last = session.scalar(beyond.where(Entry.at < until))
    is_covered = newest is not None and (last is None or last < newest.size)
    if newest is None or not is_covered or session.scalar(waiting):
        raise NotSigned(
            "No checkpoint covers the whole period yet; a scheduler signs one every few seconds, "
            "so see that it runs and ask again."
        )
    return newest


def daily(session: Session, since: datetime, until: datetime, last: Checkpoint) -> list[Checkpoint]:
    """The last checkpoint of each day of the period, and this one at the end."""
    ids = (
        select(func.max(Checkpoint.id))
        .where(Checkpoint.at >= since, Checkpoint.at < until, Checkpoint.id < last.id)
        .group_by(func.date(Checkpoint.at))
    )
    found = session.scalars(
        select(Checkpoint).where(Checkpoint.id.in_(ids)).order_by(Checkpoint.id)
    )
    return [*found, last]


def span(session: Session, since: datetime, until: datetime) -> range:
    """The positions from the first to the last entry of the period, whatever lies between."""
    ends = (
        select(func.min(Position.position), func.max(Position.position))
        .join(Entry, Entry.id == Position.entry_id)
        .where(Entry.at >= since, Entry.at < until)
    )
    first, last = session.execute(ends).one()
    return range(0) if first is None else range(first, last + 1)


def entries(
    session: Session, positions: range, policy: str | None, actions: Collection[str] = ()
) -> Iterator[tuple[int, bytes]]:
    """Position and body of each entry there, in order; with `actions`, only of these."""
    if not positions:
        return
    query = select(Position.position, Entry.body).join(Entry, Entry.id == Position.entry_id)
    query = query.where(*_there(positions, policy))
    if actions:
        query = query.where(Entry.action.in_(actions))
    for row in streamed(session, query.order_by(Position.position), _PAGE):
        yield row.position, row.body


def runs(session: Session, positions: range, policy: str | None) -> int:
    """Of how many runs these entries are."""
    query = select(func.count(Entry.run_id.distinct()))
    there = query.join(Position, Entry.id == Position.entry_id).where(*_there(positions, policy))
    return (session.scalar(there) or 0) if positions else 0


def _there(positions: range, policy: str | None) -> Iterator[ColumnElement[bool]]:
    yield Position.position >= positions.start
    yield Position.position < positions.stop
    if policy is not None:
        yield Entry.policy == policy


def leaves(session: Session, size: int) -> Iterator[bytes]:
    """The hashes of the first `size` entries, in order."""
    query = select(Position.leaf_hash).where(Position.position < size)
    for (leaf,) in streamed(session, query.order_by(Position.position), _PAGE):
        yield leaf


def prove(session: Session, entry_id: int, size: int) -> dict[str, Any] | None:
    """Position, body and inclusion proof of an entry among the first `size`; None if it is not."""
    query = select(Position.position, Entry.body).join(Entry, Entry.id == Position.entry_id)
    row = session.execute(query.where(Entry.id == entry_id)).one_or_none()
    if row is None or row.position >= size:
        return None
    steps = [step.hex() for step in tree.inclusion_proof(session, row.position, size)]
    return {"position": row.position, "body": row.body.decode(), "proof": steps}
