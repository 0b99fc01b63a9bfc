"""The audit log: found by whatever is known, one entry with its proof, verified, carried away."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from worker import runs
from worker.audit import anchors, keeping, search, tree, verify
from worker.audit.search import Search
from worker.console.installation import Installation
from worker.console.pages.visiting import Posted, Visiting
from worker.documents import audit as documents
from worker.errors import NotSigned, UnknownRecord, UsageError
from worker.evidence.bundle import Wanted
from worker.keys import Keyring
from worker.tables import Checkpoint, Entry, Position
from worker.times import moment_of

router = APIRouter(include_in_schema=False)

LISTED = 50
_PART = 64 * 1024
SIGNED_SECONDS = 30
"""How long a person waits at most for the signature that their evidence needs."""
FIELDS = ("run", "policy", "actor", "action", "target", "outcome", "since", "until")


@router.get("/audit")
def audit(visit: Visiting, request: Request) -> HTMLResponse:
    asked = {name: request.query_params.get(name, "").strip() for name in (*FIELDS, "before")}
    query = select(Entry).where(*search.conditions(_wanted(asked))).order_by(Entry.id.desc())
    if asked["before"].isdecimal():
        query = query.where(Entry.id < int(asked["before"]))
    with visit.here.database.reading() as session:
        found = session.scalars(query.limit(LISTED + 1)).all()
    return visit.page(
        "audit.html",
        found=[search.as_json(entry) for entry in found[:LISTED]],
        next=found[LISTED - 1].id if len(found) > LISTED else None,
        asked=asked,
        today=f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}",
        month_ago=f"{datetime.now(UTC) - timedelta(days=30):%Y-%m-%d}",
    )


@router.get("/audit/{entry}")
def entry(visit: Visiting, entry: str) -> HTMLResponse:
    here = visit.here
    with here.database.reading() as session:
        found = session.get(Entry, int(entry)) if entry.isdecimal() and len(entry) < 19 else None
        if found is None:
            raise UnknownRecord(f"There is no entry {entry}; the audit page lists those there are.")
        checkpoint = _newest(session)
        proof = _proof(session, found.id, checkpoint.size) if checkpoint is not None else None
    return visit.page(
        "entry.html",
        it=search.as_json(found),
        raw=found.body.decode(errors="replace"),
        proof=proof,
        checkpoint=checkpoint,
    )


@router.post("/audit/verify")
def verify_now(posted: Posted) -> HTMLResponse:
    posted.visit.must("audit verify")
    here = posted.visit.here
    report = verify.verify(
        here.database,
        keeping.signer_of(here.settings),
        anchors.from_settings(here.settings),
        full="full" in posted.form,
    )
    verify.remember(here.database, report, Keyring.from_settings(here.settings))
    said = {**asdict(report), "faults": report.faults}
    return HTMLResponse(posted.visit.html("verified.html", report=said))


@router.post("/audit/bundle")
def bundle(posted: Posted) -> StreamingResponse:
    """The evidence of a period, as `tend audit bundle` writes it."""
    posted.visit.must("audit bundle")
    here, form = posted.visit.here, posted.form
    since, until = (moment_of(name, form.get(name, "")) for name in ("since", "until"))
    policy = form.get("policy") or None
    wanted = documents.period(here.settings, since, until, policy, None, None)
    folder = tempfile.TemporaryDirectory(prefix="tend-bundle-")
    path = Path(folder.name) / f"tend-evidence-{since:%Y-%m-%d}-{wanted.until:%Y-%m-%d}.zip"
    _write(here, wanted, path)
    headers = {"Content-Disposition": f'attachment; filename="{path.name}"'}
    return StreamingResponse(_read(path, folder), media_type="application/zip", headers=headers)


def _write(here: Installation, wanted: Wanted, path: Path) -> None:
    """A period that ends now is signed within seconds: nobody should have to ask again."""
    deadline = time.monotonic() + SIGNED_SECONDS
    while True:
        try:
            documents.bundled(here.settings, here.database, wanted, path)
        except NotSigned:
            if time.monotonic() > deadline:
                raise
            time.sleep(0.5)
        else:
            return


def _newest(session: Session) -> Checkpoint | None:
    return session.scalars(select(Checkpoint).order_by(Checkpoint.id.desc()).limit(1)).first()


def _proof(session: Session, entry_id: int, size: int) -> dict[str, Any] | None:
    """Where it stands in the signed log, and the hashes that show it."""
    query = select(Position.position).where(Position.entry_id == entry_id)
    position = session.scalar(query)
    if position is None or position >= size:
        return None
    steps = tree.inclusion_proof(session, position, size)
    return {"position": position, "proof": [step.hex() for step in steps]}


def _read(path: Path, folder: tempfile.TemporaryDirectory[str]) -> Iterator[bytes]:
    with folder, path.open("rb") as file:
        while part := file.read(_PART):
            yield part


def _wanted(asked: Mapping[str, str]) -> Search:
    given: dict[str, Any] = {name: asked[name] for name in FIELDS if asked[name]}
    if "run" in given:
        given["run"] = runs.parse_id(given["run"])
    for name in ("since", "until"):
        if name in given:
            given[name] = moment_of(name, given[name])
    try:
        return Search(**given)
    except ValidationError:
        raise UsageError(f"'{given.get('outcome')}' is no state of a run.") from None
