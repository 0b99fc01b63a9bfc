"""`/api/v1/holds`: protect a subject's records from purges and repairs, and end that again."""

from typing import Annotated

from fastapi import APIRouter, Query

from policies.subjects import load_subjects
from worker import holding
from worker.console.api.bodies import Document, HoldAdd, HoldRelease, Line
from worker.console.asking import Here, allowed
from worker.documents import holds as documents
from worker.identity import Actor

router = APIRouter(prefix="/holds", tags=["holds"])


@router.get("")
def hold_list(
    here: Here,
    everything: Annotated[bool, Query(alias="all")] = False,
    _: Actor = allowed("hold list"),
) -> Document:
    """The holds that stand, and with `all` those that ended."""
    return documents.listed(here.database, everything=everything)


@router.get("/{case}")
def hold_show(here: Here, case: Line, _: Actor = allowed("hold show")) -> Document:
    """One case: its subjects, who added and released each, when and why."""
    return documents.case_of(here.database, case)


@router.post("/{case}/add")
def hold_add(here: Here, case: Line, body: HoldAdd, actor: Actor = allowed("hold add")) -> Document:
    """Protect every record of a subject; answers when no batch without the hold is at work."""
    person = body.by(actor)
    known = load_subjects(here.settings.policy_directories)
    wanted = [holding.parse_subject(text, known) for text in body.subject]
    document, at_work = documents.add(
        here.engine(person.actor),
        here.settings.env,
        case,
        wanted,
        person,
        anticipatory=body.anticipatory,
    )
    if at_work is not None:
        raise at_work
    return document


@router.post("/{case}/release")
def hold_release(
    here: Here, case: Line, body: HoldRelease, actor: Actor = allowed("hold release")
) -> Document:
    """End the holds of a case, or the one on a subject; they stay on record."""
    person = body.by(actor)
    known = load_subjects(here.settings.policy_directories)
    only = holding.parse_subject(body.subject, known) if body.subject else None
    holding.release(here.database, case, only, person)
    return documents.case_of(here.database, case)
