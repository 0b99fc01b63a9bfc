"""Manifests held against the entries that bear their roots."""

import json
from collections.abc import Iterator
from typing import Any

from sqlalchemy import select, union
from sqlalchemy.orm import Session

from worker.audit.findings import Finding, finding
from worker.evidence.manifests import root_of, split
from worker.tables import Entry, Manifest, Position, Unsequenced


def check(session: Session, start: int) -> Iterator[Finding]:
    """Of each entry from position `start` on, whether its manifest is the one it was written with.

    Memory grows with one manifest.
    """
    bearing = select(Entry.id, Entry.run_id, Entry.body).where(Entry.action == "chunk_manifest")
    if start:
        placed = select(Position.entry_id).where(Position.position >= start)
        bearing = bearing.where(Entry.id.in_(union(placed, select(Unsequenced.entry_id))))
    for entry_id, run_id, body in session.execute(bearing.order_by(Entry.id)).all():
        for says in _off(session, run_id, body):
            yield finding(f"Entry {entry_id} {says}.", entry=entry_id, run=run_id)
    borne = select(Entry.run_id).where(Entry.action == "chunk_manifest")
    stray = select(Manifest.run_id).where(Manifest.run_id.not_in(borne)).distinct()
    for run_id in session.scalars(stray.order_by(Manifest.run_id)):
        yield finding(f"Run r-{run_id} has a manifest that no entry bears.", run=run_id)


def _off(session: Session, run_id: int | None, body: bytes) -> Iterator[str]:
    try:
        detail: Any = json.loads(body)["detail"]
        key = (run_id, detail["direction"], detail["chunk"])
        said = (detail["root"], detail["lines"], detail["counts"])
    except (ValueError, KeyError, TypeError):
        yield "bears no manifest that can be read"
        return
    manifest = session.get(Manifest, key)
    if manifest is None:
        yield "bears a manifest that is gone"
        return
    lines = split(manifest.payload)
    if (root_of(lines), len(lines), manifest.counts) != said:
        yield "bears another manifest than the one that is kept"
    elif (manifest.root, manifest.lines) != said[:2]:
        yield "bears a manifest whose row says otherwise"
    session.expunge(manifest)
