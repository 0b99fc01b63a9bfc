"""Going on after the log was cut: from an old backup, say. It is said, not undone."""

from worker.audit import checkpoints, entries, sequencer, tree
from worker.audit.anchors import Anchors
from worker.audit.checkpoints import Head
from worker.audit.entries import stamp
from worker.audit.signing import Signer
from worker.database import Database
from worker.errors import LogAltered, UsageError
from worker.operations import Person


def reanchor(database: Database, signer: Signer, anchors: Anchors | None, person: Person) -> Head:
    """Begin a new generation of the log with what the database holds, and an entry that says so.

    The old anchors stay where they are. Returns the new checkpoint, which is anchored by then.
    """
    if anchors is None:
        raise UsageError("TEND_ANCHOR_URL is not set, so nothing was anchored before.")
    before, told = anchors.generation(), _newest(anchors, signer)
    with database.transaction() as session:
        known = checkpoints.latest(session)
        generation = max(before, 0 if known is None else checkpoints.generation(known.origin)) + 1
        detail = {
            "reason": person.reason,
            "generation": generation,
            "positions": tree.size(session),
            "anchored": None
            if told is None
            else {"size": told.size, "root": told.root.hex(), "at": stamp(told.at)},
        }
        entries.append(session, "log_reanchored", person.actor, detail=detail)
        session.flush()
        made = sequencer.begin_anew(session, signer, generation)
    head = checkpoints.head_of(made)
    anchors.write(head, made.note)
    return head


def _newest(anchors: Anchors, signer: Signer) -> Head | None:
    """What the newest anchor said; None if there is none, or nobody knows who signed it."""
    try:
        return anchors.newest(signer)
    except LogAltered:
        return None
