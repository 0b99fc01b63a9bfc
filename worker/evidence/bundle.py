"""The evidence of a period as one zip, which a reviewer checks without Tend."""

import hashlib
import json
import zipfile
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from worker import database
from worker.audit.entries import stamp
from worker.audit.signing import Signer
from worker.audit.snapshot import Snapshot
from worker.database import Database
from worker.errors import UsageError
from worker.evidence import exceptions, log, pages, summary, texts, verifier
from worker.evidence.facts import LISTED, Document, Facts
from worker.evidence.sample import Sample
from worker.evidence.summary import About
from worker.evidence.verifier import Drawing
from worker.holding import value_digest
from worker.tables import Checkpoint, Hold, Manifest

VERSION = 1


@dataclass(frozen=True)
class Wanted:
    """Which part of the log; `since` is part of the period, `until` is not."""

    environment: str
    since: datetime
    until: datetime
    policy: str | None = None
    sample: Sample | None = None


@dataclass
class _Files:
    """The files of the zip, each hashed as it is written."""

    zip: zipfile.ZipFile
    digests: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, parts: Iterable[bytes]) -> None:
        digest = hashlib.sha256()
        with self.zip.open(name, "w", force_zip64=True) as file:
            for part in parts:
                digest.update(part)
                file.write(part)
        self.digests[name] = digest.hexdigest()

    def add_json(self, name: str, document: Any) -> None:
        text = json.dumps(document, ensure_ascii=False, indent=2, sort_keys=True)
        self.add(name, [text.encode()])


@dataclass
class _Chosen:
    """What the entries that go into the bundle add up to."""

    facts: Facts = field(default_factory=lambda: Facts(listing=LISTED))
    """Of the entries of the period itself."""
    drawing: Drawing | None = None
    entries: int = 0


def write(db: Database, signer: Signer, wanted: Wanted, path: Path) -> Document:
    """Write the zip and return its statement; the file is there whole, or not at all.

    Raises `NotSigned` while no checkpoint covers the period, and `UsageError` if the file exists.
    """
    if path.exists():
        raise UsageError(f"{path} exists; evidence is not written over, so name another file.")
    draft = path.with_name(path.name + ".part")
    snapshot = Snapshot(db)
    try:
        with snapshot.transaction() as session, zipfile.ZipFile(draft, "w", _DEFLATED) as packed:
            statement = _fill(session, signer, wanted, _Files(packed))
        draft.rename(path)
    except OSError as error:
        raise UsageError(f"{path} cannot be written ({error.strerror}).") from error
    finally:
        draft.unlink(missing_ok=True)
        snapshot.close()
    return statement


_DEFLATED = zipfile.ZIP_DEFLATED


def _fill(session: Session, signer: Signer, wanted: Wanted, files: _Files) -> Document:
    last = log.covering(session, wanted.until)
    positions = log.span(session, wanted.since, wanted.until)
    checkpoints = log.daily(session, wanted.since, wanted.until, last)
    chosen = _Chosen(drawing=None if wanted.sample is None else wanted.sample.drawing())
    files.add("entries.jsonl", _lines(session, wanted, positions, chosen))
    facts = chosen.facts
    files.add("leaves.bin", log.leaves(session, last.size))
    files.add("checkpoints.jsonl", map(_checkpoint, checkpoints))
    files.add("keys.txt", _keys(signer, checkpoints))
    for name, payload in _manifests(session, wanted, positions):
        files.add(name, [payload])
    policies, found = texts.of_period(session, facts)
    for (policy, version), text in found.items():
        files.add(f"policies/{policy}/{version}.json", [text.encode()])
    files.add_json("policies.json", policies)
    holds = list(_holds(session, wanted))
    files.add_json("holds.json", holds)
    files.add("exceptions.json", exceptions.document(session, wanted, positions, facts))
    if wanted.sample is not None and chosen.drawing is not None:
        drawn = wanted.sample.as_json(session, chosen.drawing, positions, wanted.policy, last.size)
        files.add_json("sample.json", drawn)
    about = _about(session, wanted, positions, chosen, last, len(holds))
    pages_of = list(summary.blocks(about, facts, policies))
    files.add("README.txt", [summary.readme(about, facts).encode()])
    files.add("summary.html", [pages.as_html(summary.title(about), pages_of)])
    files.add("summary.pdf", [pages.as_pdf(summary.title(about), pages_of)])
    files.add("verify.py", [Path(verifier.__file__).read_bytes()])
    statement = _statement(about, files.digests)
    files.add_json("bundle.json", statement)
    return statement


def _lines(session: Session, wanted: Wanted, positions: range, chosen: _Chosen) -> Iterator[bytes]:
    """The entries as lines; what they add up to is noted on the way."""
    since, until = stamp(wanted.since), stamp(wanted.until)
    for position, raw in log.entries(session, positions, wanted.policy):
        text = raw.decode()
        body = json.loads(text)
        if since <= body["at"] < until:
            chosen.facts.take(body)
            if chosen.drawing is not None:
                chosen.drawing.take(body)
        chosen.entries += 1
        line = json.dumps({"position": position, "body": text}, ensure_ascii=False)
        yield line.encode() + b"\n"


def _checkpoint(checkpoint: Checkpoint) -> bytes:
    return json.dumps({"note": checkpoint.note}, ensure_ascii=False).encode() + b"\n"


def _keys(signer: Signer, checkpoints: Iterable[Checkpoint]) -> Iterator[bytes]:
    for origin in dict.fromkeys(checkpoint.origin for checkpoint in checkpoints):
        for key in signer.public_keys(origin):
            yield key.encode() + b"\n"


def _manifests(session: Session, wanted: Wanted, positions: range) -> Iterator[tuple[str, bytes]]:
    """Name and lines of the manifest that each entry bears, one in memory at a time."""
    bears = log.entries(session, positions, wanted.policy, ("chunk_manifest",))
    for body in (json.loads(raw) for _, raw in bears):
        key = body["run"], body["detail"]["direction"], body["detail"]["chunk"]
        manifest = session.get(Manifest, key)
        if manifest is not None:
            yield f"manifests/{verifier.manifest_name(body)}.bin", manifest.payload
            session.expunge(manifest)


def _holds(session: Session, wanted: Wanted) -> Iterator[Document]:
    """The holds that stood at any moment of the period; whom they protect is told by a digest."""
    stood = select(Hold).where(
        Hold.at < wanted.until, or_(Hold.released_at.is_(None), Hold.released_at >= wanted.since)
    )
    for hold in session.scalars(stood.order_by(Hold.id)):
        released = hold.released_at
        yield {
            "hold": hold.id,
            "case": hold.case,
            "subject": hold.subject,
            "value_digest": value_digest(hold),
            "anticipatory": hold.anticipatory,
            "actor": hold.actor,
            "reason": hold.reason,
            "at": stamp(hold.at),
            "released_at": None if released is None else stamp(released),
            "released_by": hold.released_by,
            "release_reason": hold.release_reason,
        }


def _about(
    session: Session,
    wanted: Wanted,
    positions: range,
    chosen: _Chosen,
    last: Checkpoint,
    holds: int,
) -> About:
    drawing = chosen.drawing
    return About(
        environment=wanted.environment,
        since=wanted.since,
        until=wanted.until,
        policy=wanted.policy,
        made_at=database.now(session),
        positions=positions,
        entries=chosen.entries,
        runs=log.runs(session, positions, wanted.policy),
        size=last.size,
        root=last.root.hex(),
        signed_at=last.at,
        holds=holds,
        sampled=None if drawing is None else (len(drawing.runs.names), len(drawing.records.names)),
    )


def _statement(about: About, files: dict[str, str]) -> Document:
    return {
        "v": VERSION,
        "environment": about.environment,
        "made_at": stamp(about.made_at),
        "filter": {
            "from": stamp(about.since),
            "to": stamp(about.until),
            "policy": about.policy,
        },
        "entries": {
            "count": about.entries,
            "first": about.positions.start if about.positions else None,
            "last": about.positions.stop - 1 if about.positions else None,
        },
        "log": {"size": about.size, "root": about.root, "signed_at": stamp(about.signed_at)},
        "files": files,
    }
