"""The Merkle log as the control database holds it: roots and proofs without reading it all.

Leaf hashes are with the positions; of the subtrees those of every eighth level are stored, so
that any hash of the tree takes at most 255 rows of each of the few levels that there are.
"""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Select, func, select
from sqlalchemy.orm import Session

from worker.audit import merkle
from worker.audit.merkle import CompactRange
from worker.errors import LogAltered
from worker.tables import Position, Subtree

STEP = 8
_TOP = 32


def size(session: Session) -> int:
    """How many entries have a position."""
    last = session.scalar(select(func.max(Position.position)))
    return 0 if last is None else last + 1


def frontier(session: Session, size: int) -> CompactRange:
    """The roots of the complete subtrees over the first `size` entries."""
    peaks = [_subtree(session, *each) for each in merkle.complete_subtrees(0, size)]
    return CompactRange(size, peaks)


def root(session: Session, size: int) -> bytes:
    """The root over the first `size` entries. Raises `LogAltered` if a row of it is missing."""
    return frontier(session, size).root


def inclusion_proof(session: Session, position: int, size: int) -> list[bytes]:
    """What leads from an entry to the root over the first `size` entries."""
    return [_hash(session, *each) for each in merkle.inclusion_path(position, size)]


def consistency_proof(session: Session, old_size: int, size: int) -> list[bytes]:
    """What shows that the first `old_size` entries are a beginning of the first `size`."""
    return [_hash(session, *each) for each in merkle.consistency_path(old_size, size)]


def store_subtrees(session: Session, old_size: int, size: int) -> None:
    """Store what became complete when the log grew; the positions must be flushed."""
    for level in range(STEP, _TOP, STEP):
        for place in range(old_size >> level, size >> level):
            below = _stored(session, level - STEP, place << STEP, 1 << STEP)
            session.add(Subtree(level=level, place=place, hash=merkle.root(below)))
        session.flush()


def _hash(session: Session, begin: int, end: int) -> bytes:
    """The root over a range that begins where a subtree of its size would."""
    parts = [_subtree(session, *each) for each in merkle.complete_subtrees(begin, end)]
    return merkle.fold(parts)


def _subtree(session: Session, level: int, place: int) -> bytes:
    below = level % STEP
    return merkle.root(_stored(session, level - below, place << below, 1 << below))


def _stored(session: Session, level: int, place: int, count: int) -> Sequence[bytes]:
    """Hashes side by side on a level that is stored."""
    hashes: Select[Any]
    if level == 0:
        hashes = select(Position.leaf_hash).order_by(Position.position)
        hashes = hashes.where(Position.position >= place, Position.position < place + count)
    else:
        hashes = select(Subtree.hash).where(Subtree.level == level).order_by(Subtree.place)
        hashes = hashes.where(Subtree.place >= place, Subtree.place < place + count)
    found: Sequence[bytes] = session.scalars(hashes).all()
    if len(found) != count:
        raise LogAltered(
            f"The audit log lacks {count - len(found)} hashes of level {level} from {place} on; "
            "run `tend audit verify --full`."
        )
    return found
