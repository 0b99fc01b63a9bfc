"""The sequencer: gives entries their positions in the Merkle log, and signs its checkpoints.

Entries are inserted without any lock. Whichever process comes first then takes those that wait,
in the order of their ids; positions are unique, so that two at once cannot give the same one.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import Row, delete, insert, select, text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from worker import database
from worker.audit import checkpoints, merkle, tree
from worker.audit.checkpoints import Head
from worker.audit.merkle import CompactRange
from worker.audit.signing import Signer
from worker.database import Database
from worker.errors import LogAltered
from worker.states import State
from worker.tables import Checkpoint, Entry, Position, Subtree, Unsequenced

BATCH = 2_000
CHECKPOINT_EVERY = timedelta(seconds=5)
HEARTBEAT_EVERY = timedelta(minutes=10)
_LOCK = 0x7E4E  # any number that no other lock of Tend has
_ENDS = {
    *(f"run_{s}" for s in (State.SUCCEEDED, State.FAILED, State.CANCELLED, State.UNDONE)),
    "archive_destroyed",
    "log_reanchored",
}
"""What is followed by a checkpoint at once: the end of whatever may have destroyed something."""


Waiting = Row[int, str, bytes]


@dataclass
class Sequencer:
    """One process's sequencer; it remembers the tree, so that it reads only what is new."""

    database: Database
    signer: Signer
    _known: CompactRange | None = None

    def sequence(self) -> Checkpoint | None:
        """Give every entry that waits its position; returns the checkpoint if one was due.

        Raises `LogAltered` if the log is not the one that was signed: nothing is added to it then.
        """
        while True:
            try:
                is_drained, checkpoint = self._batch()
            except IntegrityError:
                self._known = None  # another process was faster, and has done it
                return None
            if is_drained:
                return checkpoint

    def _batch(self) -> tuple[bool, Checkpoint | None]:
        with self.database.transaction() as session:
            if not _is_first(session):
                return True, None
            grown = self._grown(session)
            waiting = _waiting(session)
            if waiting:
                _give(session, grown, waiting)
            is_drained = len(waiting) < BATCH
            checkpoint = None
            if is_drained:
                checkpoint = self._checkpoint(session, grown, waiting)
        self._known = grown
        return is_drained, checkpoint

    def _grown(self, session: Session) -> CompactRange:
        """The tree so far, with what other processes have added."""
        size = tree.size(session)
        if self._known is None:
            return _trusted(session, self.signer, size)
        if self._known.size > size:
            raise LogAltered(
                f"The audit log had {self._known.size:,} positions and has {size:,}: it became "
                "shorter while this process ran; run `tend audit verify --full`."
            )
        return self._known.copy().extend(_leaves(session, self._known.size))

    def _checkpoint(
        self, session: Session, grown: CompactRange, taken: Sequence[Waiting]
    ) -> Checkpoint | None:
        """A signed checkpoint, if one is due; never before all that waits has its position."""
        last = checkpoints.latest(session)
        moment = database.now(session)
        if not _is_due(last, grown.size, moment, {row.action for row in taken}):
            return None
        origin = last.origin if last is not None else self.signer.origin(1)
        checkpoint = checkpoints.signed(Head(origin, grown.size, grown.root, moment), self.signer)
        session.add(checkpoint)
        return checkpoint


def begin_anew(session: Session, signer: Signer, generation: int) -> Checkpoint:
    """Sign the log as it is under a new name, whatever was signed before.

    Raises `LogAltered` if positions are missing, for then it has no root.
    """
    grown = CompactRange().extend(_leaves(session, 0))
    if grown.size != tree.size(session):
        raise LogAltered(
            f"The audit log has {grown.size:,} positions of {tree.size(session):,}: it cannot go "
            "on from here; restore a backup of the control database."
        )
    session.execute(delete(Subtree))
    tree.store_subtrees(session, 0, grown.size)
    while waiting := _waiting(session):
        _give(session, grown, waiting)
    head = Head(signer.origin(generation), grown.size, grown.root, database.now(session))
    checkpoint = checkpoints.signed(head, signer)
    session.add(checkpoint)
    session.flush()
    return checkpoint


def _is_first(session: Session) -> bool:
    """Whether no other process is at it: a lock that saves work, and nothing depends on."""
    if session.get_bind().dialect.name != "postgresql":
        return True  # BEGIN IMMEDIATE has made everybody else wait
    asked = text("select pg_try_advisory_xact_lock(:key)")
    return bool(session.scalar(asked, {"key": _LOCK}))


def _waiting(session: Session) -> Sequence[Waiting]:
    """The entries without a position, in the order of their ids; one written late has a low id."""
    waiting = select(Entry.id, Entry.action, Entry.body).join(
        Unsequenced, Unsequenced.entry_id == Entry.id
    )
    return session.execute(waiting.order_by(Entry.id).limit(BATCH)).all()


def _give(session: Session, grown: CompactRange, waiting: Sequence[Waiting]) -> None:
    begin = grown.size
    leaves = [merkle.leaf_hash(row.body) for row in waiting]
    given = [
        {"position": begin + number, "entry_id": row.id, "leaf_hash": leaf}
        for number, (row, leaf) in enumerate(zip(waiting, leaves, strict=True))
    ]
    session.execute(insert(Position), given)
    ids = [row.id for row in waiting]
    session.execute(delete(Unsequenced).where(Unsequenced.entry_id.in_(ids)))
    grown.extend(leaves)
    tree.store_subtrees(session, begin, grown.size)


def _trusted(session: Session, signer: Signer, size: int) -> CompactRange:
    """The tree as it is stored, after a look whether it is the one that was signed last."""
    last = checkpoints.latest(session)
    if last is None:
        return tree.frontier(session, size)
    head = checkpoints.opened(last.note, signer)
    if head is None:
        raise LogAltered(
            f"The last checkpoint of the audit log, c-{last.id}, was signed by no key of "
            "TEND_AUDIT_KEYS, or altered; run `tend audit verify`."
        )
    if head.size > size or tree.root(session, head.size) != head.root:
        raise LogAltered(
            f"The audit log is not the one that was signed in checkpoint c-{last.id}; run "
            "`tend audit verify --full`."
        )
    return tree.frontier(session, head.size).extend(_leaves(session, head.size))


def _leaves(session: Session, begin: int) -> Sequence[bytes]:
    newer = select(Position.leaf_hash).where(Position.position >= begin)
    return session.scalars(newer.order_by(Position.position)).all()


def _is_due(last: Checkpoint | None, size: int, moment: datetime, taken: set[str]) -> bool:
    if last is None:
        return size > 0
    age = moment - last.at
    if size > last.size:
        return age >= CHECKPOINT_EVERY or bool(taken & _ENDS)
    return age >= HEARTBEAT_EVERY
