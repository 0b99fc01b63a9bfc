"""What became of one subject's records, with proofs, and without a word of anybody else's."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.audit import merkle
from worker.audit.entries import stamp
from worker.audit.signing import Signer
from worker.audit.snapshot import Snapshot
from worker.database import Database
from worker.errors import NotSigned
from worker.evidence import log, manifests
from worker.evidence.facts import Document
from worker.evidence.subject_keys import Subject, SubjectKeys
from worker.keys import Keyring
from worker.tables import Checkpoint, Entry, Manifest, Run


@dataclass(frozen=True)
class Proven:
    """An entry, and where it stands in the log."""

    entry_id: int
    at: str
    detail: Document
    policy: str | None
    policy_version: str | None


@dataclass
class _Log:
    """The log under one checkpoint, and the entries that were asked for."""

    session: Session
    checkpoint: Checkpoint
    _told: dict[int, list[tuple[str, Proven]]] = field(default_factory=dict)

    def of_run(self, run_id: int, action: str) -> Iterator[Proven]:
        """A run's entries of one action, in order."""
        if run_id not in self._told:
            actions = ("chunk_manifest", "chunk_outcome", "archive_destroyed")
            query = select(Entry).where(Entry.run_id == run_id, Entry.action.in_(actions))
            found = self.session.scalars(query.order_by(Entry.id))
            self._told = {run_id: [(entry.action, _proven(entry)) for entry in found]}
        return (one for said, one in self._told[run_id] if said == action)

    def prove(self, entry_id: int) -> Document:
        """Body, position and inclusion proof of an entry."""
        proof = log.prove(self.session, entry_id, self.checkpoint.size)
        if proof is None:
            raise NotSigned(
                "No checkpoint covers what became of these records yet; a scheduler signs one "
                "every few seconds, so see that it runs and ask again."
            )
        return proof


def receipt(db: Database, keyring: Keyring, signer: Signer, subject: Subject) -> Document:
    """Every line of the subject in every manifest that is kept.

    Raises `SubjectUnknown` without a key, and `NotSigned` before a checkpoint covers the entries.
    """
    keys = SubjectKeys.of(db, keyring)
    snapshot = Snapshot(db)
    try:
        with snapshot.transaction() as session:
            _, key = keys.find(session, subject)
            last = log.newest(session)
            told = _Log(session, last)
            changes = [one for each in _kept(session) for one in _changes(told, each, key)]
            return {
                "v": 1,
                "subject": "=".join(subject),
                "subject_key": key.hex(),
                "checkpoint": last.note,
                "keys": signer.public_keys(last.origin),
                "changes": changes,
            }
    finally:
        snapshot.close()


def _kept(session: Session) -> Iterator[Manifest]:
    """Every manifest, one in memory at a time."""
    query = select(Manifest.run_id, Manifest.direction, Manifest.number)
    order = (Manifest.run_id, Manifest.direction, Manifest.number)
    for key in session.execute(query.order_by(*order)).all():
        manifest = session.get_one(Manifest, tuple(key))
        yield manifest
        session.expunge(manifest)


def _changes(told: _Log, manifest: Manifest, key: bytes) -> Iterator[Document]:
    """What became of the subject's records in one chunk, by place and by what it was."""
    found: dict[tuple[str, str], list[int]] = {}
    for place, became, index in manifests.lines_of(manifest, key):
        found.setdefault((place, became), []).append(index)
    if not found:
        return
    lines = manifests.split(manifest.payload)
    prove = _prover([merkle.leaf_hash(line) for line in lines])
    for (place, became), indexes in found.items():
        proven = [
            {"index": index, "line": lines[index].hex(), "proof": prove(index)} for index in indexes
        ]
        yield {**_dates(told, manifest), "collection": place, "became": became, "lines": proven}


def _dates(told: _Log, manifest: Manifest) -> Document:
    """When the chunk was over, and when the last copy of its records was destroyed."""
    run_id = manifest.run_id
    listing = next(one for one in told.of_run(run_id, "chunk_manifest") if _is_of(one, manifest))
    outcomes = [one for one in told.of_run(run_id, "chunk_outcome") if _is_of(one, manifest)]
    destroyed = next(told.of_run(run_id, "archive_destroyed"), None)
    evidence = [listing, *outcomes[-1:], *([destroyed] if destroyed is not None else [])]
    run = told.session.get(Run, run_id)
    expires = run.expires_at if run is not None and destroyed is None else None
    return {
        "run": f"r-{run_id}",
        "policy": listing.policy,
        "policy_version": listing.policy_version,
        "direction": manifest.direction,
        "chunk": manifest.number,
        "at": outcomes[-1].at if outcomes else listing.at,
        "last_copy_destroyed_at": destroyed.at if destroyed is not None else None,
        "last_copy_expires_at": stamp(expires) if expires is not None else None,
        "entries": [told.prove(one.entry_id) for one in evidence],
    }


def _is_of(one: Proven, manifest: Manifest) -> bool:
    return (one.detail["direction"], one.detail["chunk"]) == (manifest.direction, manifest.number)


def _proven(entry: Entry) -> Proven:
    body: dict[str, Any] = json.loads(entry.body)
    return Proven(entry.id, body["at"], body["detail"], body["policy"], body["policy_version"])


def _prover(leaves: list[bytes]) -> Callable[[int], list[str]]:
    """Inclusion proofs of many leaves of one tree; what they share is computed once."""

    @cache
    def root(begin: int, end: int) -> bytes:
        if end - begin == 1:
            return leaves[begin]
        middle = begin + (1 << (end - begin - 1).bit_length() - 1)
        return merkle.node_hash(root(begin, middle), root(middle, end))

    def prove(index: int) -> list[str]:
        return [root(*part).hex() for part in merkle.inclusion_path(index, len(leaves))]

    return prove
