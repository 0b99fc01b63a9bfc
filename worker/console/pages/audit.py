"""The audit log: found by whatever is known, one entry with its proof, verified, carried away."""

import tempfile
import time
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, StreamingResponse
from pydantic import ValidationError
from sqlalchemy import select

from worker import runs
from worker.audit import search
from worker.audit.search import Search
from worker.console.installation import Installation
from worker.console.pages.visiting import Posted, Visiting
from worker.documents import audit as documents
from worker.errors import NotSigned, UnknownRecord, UsageError
from worker.evidence.bundle import Wanted
from worker.tables import Entry
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
        fields=FIELDS,
        filtered=any(asked[name] for name in FIELDS),
        today=f"{datetime.now(UTC) + timedelta(days=1):%Y-%m-%d}",
        month_ago=f"{datetime.now(UTC) - timedelta(days=30):%Y-%m-%d}",
    )


@router.get("/audit/{entry}")
def entry(visit: Visiting, entry: str) -> HTMLResponse:
    here = visit.here
    if not entry.isdecimal() or len(entry) >= 19:
        raise UnknownRecord(f"There is no entry {entry}; the audit page lists those there are.")
    found = documents.entry(here.settings, here.database, int(entry))
    with here.database.reading() as session:
        raw = session.get_one(Entry, int(entry)).body.decode(errors="replace")
    return visit.page("entry.html", it=found, raw=raw, proof=found["log"])


@router.post("/audit/verify")
def verify_now(posted: Posted) -> HTMLResponse:
    posted.visit.must("audit verify")
    here = posted.visit.here
    report = documents.verified(here.settings, here.database, full="full" in posted.form)
    return HTMLResponse(posted.visit.html("verified.html", report=documents.verdict(report)))


@router.post("/audit/export")
def export(posted: Posted) -> StreamingResponse:
    """The entries that the page's filter finds, and a statement of what the file is."""
    posted.visit.must("audit export")
    here, form = posted.visit.here, posted.form
    wanted = _wanted({name: form.get(name, "").strip() for name in FIELDS})
    folder = tempfile.TemporaryDirectory(prefix="tend-export-")
    as_csv = form.get("format") == "csv"
    path = documents.packed(here.settings, here.database, wanted, Path(folder.name), as_csv=as_csv)
    return _sent(path, folder)


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
    return _sent(path, folder)


def _sent(path: Path, folder: tempfile.TemporaryDirectory[str]) -> StreamingResponse:
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
