"""Legal holds: which stand, which ended, adding one and letting one go."""

from fastapi import APIRouter
from fastapi.responses import HTMLResponse, Response

from policies.subjects import load_subjects
from worker import holding
from worker.console.pages.visiting import Posted, Visiting
from worker.documents import holds as documents
from worker.errors import UsageError

router = APIRouter(include_in_schema=False)


@router.get("/holds")
def holds(visit: Visiting, everything: str = "") -> HTMLResponse:
    found = documents.listed(visit.here.database, everything=bool(everything))["holds"]
    subjects = sorted(load_subjects(visit.here.settings.policy_directories).names)
    return visit.page("holds.html", found=found, everything=bool(everything), subjects=subjects)


@router.post("/holds/add")
def add(posted: Posted) -> Response:
    """Comes back when no batch that began without the hold is at work."""
    person, here, form = posted.person("hold add"), posted.visit.here, posted.form
    case = form.get("case", "").strip()
    if not case:
        raise UsageError("A hold needs its case, such as LEGAL-2026-14.")
    known = load_subjects(here.settings.policy_directories)
    subject = holding.parse_subject(f"{form.get('subject', '')}={form.get('value', '')}", known)
    _, at_work = documents.add(
        here.engine(person.actor),
        here.settings.env,
        case,
        [subject],
        person,
        anticipatory="anticipatory" in form,
    )
    if at_work is not None:
        raise at_work
    return posted.done("/holds")


@router.post("/holds/release")
def release(posted: Posted) -> Response:
    """Every hold of the case."""
    person = posted.person("hold release")
    holding.release(posted.visit.here.database, posted.form.get("case", ""), None, person)
    return posted.done("/holds")
