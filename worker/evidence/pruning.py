"""Removing old entries: only a beginning of the log, and only what a verified bundle holds.

The hashes and positions stay, so every root and every proof of what remains is as it was.
"""

import hashlib
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

from sqlalchemy import delete, func, select
from sqlalchemy.exc import ProgrammingError
from sqlalchemy.orm import Session

from policies.durations import Age
from worker import database, holds
from worker.audit import entries
from worker.audit.signing import Signer
from worker.database import Database
from worker.errors import NotPrunable, UsageError
from worker.evidence import log, verifier
from worker.operations import Person
from worker.tables import Checkpoint, Entry, Manifest, Position, Run

_PAGE = 500
_INSUFFICIENT_PRIVILEGE = "42501"


@dataclass(frozen=True)
class Pruned:
    """What went: entries below position `size`, and manifests that they bore."""

    size: int
    entries: int
    manifests: int


def kept_from(session: Session) -> int:
    """The position of the first entry that is still there; the size of the log if none is."""
    first = select(func.min(Position.position)).join(Entry, Entry.id == Position.entry_id)
    found = session.scalar(first)
    return int(found) if found is not None else _size(session)


def prune(
    db: Database, signer: Signer, environment: str, keep: Age, path: Path, person: Person
) -> Pruned:
    """Remove those of the bundle's entries that are a beginning of the log and old enough.

    Raises `NotPrunable` and removes nothing where anything speaks against it.
    """
    bundle, statement = _opened(path)
    _must_be_whole(statement, environment)
    with db.transaction() as session:
        origins = session.scalars(select(Checkpoint.origin).distinct()).all()
    keys = "\n".join(key for origin in origins for key in signer.public_keys(origin))
    said: list[str] = []
    if verifier.check(path, keys, said.append):
        raise NotPrunable(f"{path} does not verify: {said[-2].removeprefix('OFF: ')}.")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    with _allowed(), db.transaction() as session:
        size = _prunable(session, bundle, statement, keep.before(database.now(session)))
        gone = _remove(session, size)
        detail = {
            "reason": person.reason,
            "size": gone.size,
            "entries": gone.entries,
            "manifests": gone.manifests,
            "bundle_sha256": sha256,
        }
        entries.append(session, "log_pruned", person.actor, detail=detail)
        return gone


@contextmanager
def _allowed() -> Iterator[None]:
    """Say what to do where the database refuses: whoever works there may not remove entries."""
    try:
        yield
    except ProgrammingError as error:
        if getattr(error.orig, "sqlstate", None) != _INSUFFICIENT_PRIVILEGE:
            raise
        raise NotPrunable(
            "This role may not remove entries, and the worker's never should; name the owner of "
            "the tables in TEND_DATABASE_OWNER_URL for this command."
        ) from error


def _opened(path: Path) -> tuple[verifier.Bundle, Any]:
    try:
        bundle = verifier.Bundle(path)
        return bundle, bundle.json("bundle.json")
    except (OSError, BadZipFile, KeyError, ValueError) as error:
        raise UsageError(f"{path} is no bundle that `tend audit bundle` wrote.") from error


def _must_be_whole(statement: Any, environment: str) -> None:
    if statement["environment"] != environment:
        raise NotPrunable(
            f"The bundle is of {statement['environment']}, and this is {environment}; take one of "
            "this log."
        )
    if statement["filter"]["policy"] is not None:
        raise NotPrunable("The bundle is of one policy alone; take one without --policy.")


def _prunable(session: Session, bundle: verifier.Bundle, statement: Any, cutoff: datetime) -> int:
    """How many entries from the beginning may go."""
    begin = kept_from(session)
    first, last = statement["entries"]["first"], statement["entries"]["last"]
    if first is None or first > begin or last < begin:
        raise NotPrunable(
            f"The bundle does not begin where the log does, at position {begin:,}; take one whose "
            "--from is before the oldest entry."
        )
    _must_be_this_log(session, bundle, last + 1)
    young = select(func.min(Position.position)).join(Entry, Entry.id == Position.entry_id)
    stays = session.scalar(young.where(Entry.at >= cutoff))
    size = int(last + 1 if stays is None else min(last + 1, stays))
    if size <= begin:
        raise NotPrunable(
            f"No entry of the bundle is older than {cutoff:%Y-%m-%d}, and audit/retention.yaml "
            "keeps what is younger."
        )
    _must_be_over(session, size)
    return size


def _must_be_this_log(session: Session, bundle: verifier.Bundle, size: int) -> None:
    """The bundle's hashes are the log's own."""
    theirs = bundle.hashes("leaves.bin")
    if any(leaf != next(theirs, None) for leaf in log.leaves(session, size)):
        raise NotPrunable("The bundle is of another log; take one of this one.")


def _must_be_over(session: Session, size: int) -> None:
    """Nothing that these entries tell of is under a hold, at work, or can be taken back."""
    if holds.standing(session).subjects:
        raise NotPrunable(
            "A legal hold stands, and entries are evidence; release it first, or keep them."
        )
    told = (
        select(Entry.run_id)
        .join(Position, Position.entry_id == Entry.id)
        .where(Position.position < size)
    )
    run = session.scalar(select(Run.id).where(Run.id.in_(told)).order_by(Run.id).limit(1))
    if run is not None:
        raise NotPrunable(
            f"The entries of r-{run} are among these, and its row is still there; the policy "
            "own-runs removes rows first."
        )


def _remove(session: Session, size: int) -> Pruned:
    old = (
        select(Entry.id, Entry.action, Entry.body)
        .join(Position, Position.entry_id == Entry.id)
        .where(Position.position < size)
        .order_by(Position.position)
    )
    rows = iter(session.execute(old).all())
    gone = manifests = 0
    while page := list(islice(rows, _PAGE)):
        for row in page:
            if row.action == "chunk_manifest":
                manifests += _remove_manifest(session, json.loads(row.body))
        session.execute(delete(Entry).where(Entry.id.in_([row.id for row in page])))
        gone += len(page)
    return Pruned(size, gone, manifests)


def _remove_manifest(session: Session, body: Any) -> int:
    key = (body["run"], body["detail"]["direction"], body["detail"]["chunk"])
    manifest = session.get(Manifest, key)
    if manifest is None:
        return 0
    session.delete(manifest)
    session.flush()
    return 1


def _size(session: Session) -> int:
    return int(session.scalar(select(func.count()).select_from(Position)) or 0)
