"""Legal holds as `tend hold` prints them with `--json`, and the adding of one to its end."""

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import select

from worker import holding
from worker.audit.entries import stamp
from worker.database import Database
from worker.engine import Engine
from worker.errors import BatchesAtWork, HoldMatchesNothing, HoldUnknown
from worker.holding import Match, Subject
from worker.masking import mask
from worker.operations import Person
from worker.tables import Hold

Document = dict[str, Any]
Found = Mapping[Subject, Sequence[Match]]


def add(
    engine: Engine,
    environment: str,
    case: str,
    subjects: Sequence[Subject],
    person: Person,
    *,
    anticipatory: bool,
) -> tuple[Document, BatchesAtWork | None]:
    """Protect the subjects; what to raise after the document was shown, if batches still work.

    Raises `HoldMatchesNothing` for a subject of whom there is no record anywhere.
    """
    db = engine.database
    added = {
        one: holding.add(db, environment, case, one, person, anticipatory=anticipatory)
        for one in subjects
    }
    at_work = sorted(
        {run for hold in added.values() for run in holding.await_batches(engine, hold)}
    )
    found = {one: list(holding.matches(engine, one)) for one in subjects}
    if not anticipatory:
        _must_match(db, added, found, person)
    document = {**case_of(db, case), "matches": _matches(found)}
    if not at_work:
        return document, None
    return document, BatchesAtWork(
        f"The hold stands, but batches of {', '.join(at_work)} began before it and are at "
        "work still: look with `tend show`, and add the hold again to wait for them."
    )


def listed(db: Database, *, everything: bool) -> Document:
    """The holds that stand, or all there ever were."""
    query = select(Hold).order_by(Hold.id)
    if not everything:
        query = query.where(Hold.released_at.is_(None))
    with db.transaction() as session:
        return {"holds": [_as_json(hold, is_masked=True) for hold in session.scalars(query)]}


def case_of(db: Database, case: str) -> Document:
    """One case; raises `HoldUnknown`."""
    with db.transaction() as session:
        query = select(Hold).where(Hold.case == case).order_by(Hold.id)
        found = [_as_json(hold, is_masked=False) for hold in session.scalars(query)]
    if not found:
        raise HoldUnknown(f"There is no hold of case '{case}'; `tend hold list --all` has them.")
    return {"case": case, "holds": found}


def _must_match(db: Database, added: Mapping[Subject, int], found: Found, person: Person) -> None:
    """Take back a hold that protects nothing anywhere: most likely its value was mistyped."""
    for subject, matches in found.items():
        if all(match.records == 0 for match in matches):
            holding.take_back(db, added[subject], person)
            raise HoldMatchesNothing(
                f"No record and no archive belongs to this {subject[0]}; the hold was taken back. "
                "Correct --subject, or say --anticipatory if its records are still to come."
            )


def _as_json(hold: Hold, *, is_masked: bool) -> Document:
    return {
        "id": hold.id,
        "case": hold.case,
        "subject": hold.subject,
        "value": mask(hold.subject, hold.value) if is_masked else hold.value,
        "anticipatory": hold.anticipatory,
        "actor": hold.actor,
        "reason": hold.reason,
        "since": stamp(hold.at),
        "released_by": hold.released_by,
        "release_reason": hold.release_reason,
        "released_at": stamp(hold.released_at) if hold.released_at else None,
    }


def _matches(found: Found) -> list[Document]:
    return [
        {
            "subject": name,
            "place": match.place,
            "records": match.records,
            "why": match.why,
            "ttl_indexes": list(match.ttl_indexes),
        }
        for (name, _), matches in found.items()
        for match in matches
    ]
