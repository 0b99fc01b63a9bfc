"""`/api/v1/audit`: the record, whether it is whole, and evidence to carry away."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any

from fastapi import APIRouter, Query
from fastapi import Path as InPath
from fastapi.responses import FileResponse
from starlette.background import BackgroundTask

from worker import runs
from worker.audit import search
from worker.audit.search import Search
from worker.console.api.bodies import (
    Bundle,
    Document,
    Entries,
    EntryList,
    Export,
    Receipt,
    Verify,
)
from worker.console.asking import Here, allowed
from worker.database import LARGEST_ID
from worker.documents import audit as documents
from worker.identity import Actor
from worker.times import moment_of

router = APIRouter(prefix="/audit", tags=["audit"])
_ZIP: dict[int | str, dict[str, Any]] = {200: {"content": {"application/zip": {}}}}


@router.get("")
def audit_list(
    here: Here, wanted: Annotated[EntryList, Query()], _: Actor = allowed("audit list")
) -> Document:
    """The newest entries, the newest last; `next` is the `before` of those older ones."""
    page = _search(wanted).model_copy(update={"limit": wanted.limit, "before": wanted.before})
    found, more = documents.listed(here.database, here.policies, page)
    return {"entries": [search.as_json(each) for each in found], "next": more}


@router.post("/verify")
def audit_verify(here: Here, body: Verify, _: Actor = allowed("audit verify")) -> Document:
    """Recompute the log, and hold it against its signatures and the runs."""
    return documents.verdict(documents.verified(here.settings, here.database, full=body.full))


@router.get("/export", response_class=FileResponse, responses=_ZIP)
def audit_export(
    here: Here, wanted: Annotated[Export, Query()], _: Actor = allowed("audit export")
) -> FileResponse:
    """A zip with the entries that match, and the statement of what the file is."""

    def write(folder: Path) -> Path:
        asked = _search(wanted)
        return documents.packed(here.settings, here.database, asked, folder, as_csv=wanted.csv)

    return _sent(write, "audit-export.zip")


@router.get("/bundle", response_class=FileResponse, responses=_ZIP)
def audit_bundle(
    here: Here, wanted: Annotated[Bundle, Query()], _: Actor = allowed("audit bundle")
) -> FileResponse:
    """A zip that a reviewer checks without Tend: entries, proofs, policies, a summary."""
    first, end = moment_of("--from", wanted.since), moment_of("--to", wanted.until)
    asked = documents.period(here.settings, first, end, wanted.policy, wanted.sample, wanted.seed)

    def write(folder: Path) -> Path:
        file = folder / "evidence.zip"
        documents.bundled(here.settings, here.database, asked, file)
        return file

    return _sent(write, "evidence.zip")


@router.post("/receipt")
def audit_receipt(here: Here, body: Receipt, _: Actor = allowed("audit receipt")) -> Document:
    """What became of one subject's records, with proofs; the subject stands in no address."""
    return documents.receipt(here.settings, here.database, body.subject)


@router.get("/{entry}")
def audit_entry(
    here: Here, entry: Annotated[int, InPath(ge=1, le=LARGEST_ID)], _: Actor = allowed("audit list")
) -> Document:
    """One entry, and what proves that it stands in the signed log."""
    return documents.entry(here.settings, here.database, entry)


def _search(wanted: Entries) -> Search:
    return Search(
        run=None if wanted.run is None else runs.parse_id(wanted.run),
        policy=wanted.policy,
        actor=wanted.actor,
        action=wanted.action,
        target=wanted.target,
        outcome=wanted.outcome,
        since=None if wanted.since is None else moment_of("--since", wanted.since),
        until=None if wanted.until is None else moment_of("--until", wanted.until),
    )


def _sent(write: Callable[[Path], Path], name: str) -> FileResponse:
    """The file that is written into a folder of its own, which goes when it is sent."""
    folder = Path(tempfile.mkdtemp(prefix="tend-evidence-"))
    try:
        file = write(folder)
    except BaseException:
        shutil.rmtree(folder)
        raise
    task = BackgroundTask(shutil.rmtree, folder)
    return FileResponse(file, media_type="application/zip", filename=name, background=task)
