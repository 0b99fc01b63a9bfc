"""Keeping the log: what every process that runs for long does for it, beside its work."""

from collections.abc import Iterator
from dataclasses import dataclass

import structlog
from sqlalchemy.orm import Session

from worker.audit import anchors, checkpoints, tree
from worker.audit.anchors import Anchors
from worker.audit.checkpoints import Head
from worker.audit.sequencer import Sequencer
from worker.audit.signing import Signer
from worker.chores import Chore
from worker.database import Database
from worker.errors import LogAltered
from worker.logs import safe_text
from worker.settings import Settings
from worker.tables import Checkpoint

KEEP_SECONDS = 1

log = structlog.get_logger()


@dataclass
class Keeper:
    """Gives entries their positions, signs checkpoints, and puts them where they are safe."""

    sequencer: Sequencer
    anchors: Anchors | None
    _owed: Checkpoint | None = None
    _has_looked: bool = False

    def keep(self) -> None:
        """Once; what could not be anchored is tried again the next time."""
        made = self.sequencer.sequence()
        if self.anchors is None:
            return
        if made is None and not self._has_looked:
            with self.sequencer.database.transaction() as session:
                made = checkpoints.latest(session)
        self._has_looked = True
        self._owed = made or self._owed
        if self._owed is not None:
            self.anchors.write(checkpoints.head_of(self._owed), self._owed.note)
            self._owed = None


def keeper(settings: Settings, database: Database) -> Keeper | None:
    """The keeper of a process; None without a key, then entries wait for one that has it."""
    signer = signer_of(settings)
    if signer is None:
        return None
    sequencer = Sequencer(database, signer)
    return Keeper(sequencer, anchors.from_settings(settings))


def chores(settings: Settings, database: Database) -> Iterator[Chore]:
    """The chores of a scheduler or worker."""
    kept = keeper(settings, database)
    if kept is None:
        log.warning("audit entries wait for their positions: TEND_AUDIT_KEYS is not set")
        return
    yield Chore("audit log", kept.keep, KEEP_SECONDS)


def keep_once(settings: Settings, database: Database) -> None:
    """At the end of a command that worked in its own process, where no other may run."""
    try:
        kept = keeper(settings, database)
        if kept is not None:
            kept.keep()
    except Exception as error:
        log.warning("audit log not kept", why=safe_text(error), exc_info=error)


def signer_of(settings: Settings) -> Signer | None:
    """The installation's signer; None where no key is set and none may be made."""
    can_sign = settings.audit_keys is not None or settings.env == "development"
    return Signer.from_settings(settings) if can_sign else None


def require_anchored(settings: Settings, database: Database) -> None:
    """Raise `LogAltered` if the newest anchor says more, or something else, than the database.

    Whatever changes data asks this before it begins; without TEND_ANCHOR_URL nobody knows.
    """
    store, signer = anchors.from_settings(settings), signer_of(settings)
    if store is None or signer is None:
        return
    anchored = store.newest(signer)  # first: the log only grows
    if anchored is None:
        return
    with database.transaction() as session:
        known = checkpoints.latest(session)
        generation = 0 if known is None else checkpoints.generation(known.origin)
        if generation > anchored.generation:
            return
        size = tree.size(session)
        is_there = generation == anchored.generation and size >= anchored.size
        if is_there and _is_same(session, anchored):
            return
    raise LogAltered(_refusal(anchored, size))


def _is_same(session: Session, anchored: Head) -> bool:
    try:
        return tree.root(session, anchored.size) == anchored.root
    except LogAltered:
        return False


def _refusal(anchored: Head, size: int) -> str:
    return (
        f"The checkpoint that was anchored at {anchored.at:%Y-%m-%d %H:%M:%S} UTC is over the "
        f"first {anchored.size:,} audit entries of {anchored.origin}, and the control database, "
        f"which has {size:,}, is not what it was then: was it restored from a backup? Find out "
        "with `tend audit verify --full`; `tend audit reanchor --reason …` lets Tend go on from "
        "here, on record."
    )
