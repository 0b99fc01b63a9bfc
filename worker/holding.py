"""Adding and releasing legal holds, and what a hold protects."""

import hmac
import os
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from policies.errors import TendError
from policies.loader import did_you_mean
from policies.subjects import Subjects
from worker import applying, claims, database, four_eyes, held_archives, holds
from worker.audit import entries
from worker.claims import LEASE
from worker.database import Database
from worker.engine import Engine
from worker.errors import DeadlineExceeded, UsageError
from worker.logs import safe_text
from worker.operations import Person
from worker.tables import Chunk, Hold

Subject = tuple[str, str]
POLL_SECONDS = 0.1
PATIENCE_SECONDS = 4 * LEASE.total_seconds()
"""A batch ends within one lease; one whose worker is gone is ended after it."""


@dataclass(frozen=True)
class Match:
    """How many records of one place a hold protects."""

    place: str
    """Target and collection, or the archive of a run."""
    records: int | None
    """None where nobody could count them; `why` says so."""
    why: str | None = None
    ttl_indexes: tuple[str, ...] = ()
    """The target's own: they delete records whatever holds stand."""


def parse_subject(text: str, subjects: Subjects) -> Subject:
    """`userId=66f0…` as a subject that some collection knows, and its value."""
    name, equals, value = (part.strip() for part in text.partition("="))
    if not equals or not value:
        raise UsageError("--subject is NAME=VALUE, such as userId=66f0c1d2e3a4b5c6d7e8f901.")
    if name not in subjects.names:
        which = did_you_mean(name, subjects.names) if subjects.names else "it declares none"
        raise UsageError(f"holds/subjects.yaml knows no subject '{name}'; {which}.")
    return name, value


def add(
    db: Database,
    environment: str,
    case: str,
    subject: Subject,
    person: Person,
    *,
    anticipatory: bool,
) -> int:
    """Put a hold on record and return its id; one that stands already is left as it is."""
    name, value = subject
    with db.transaction() as session:
        standing = session.scalars(_standing(case, subject)).first()
        if standing is not None:
            return standing.id
        hold = Hold(
            case=case,
            subject=name,
            value=value,
            salt=os.urandom(32),
            anticipatory=anticipatory,
            environment=environment,
            actor=person.actor.name,
            reason=person.reason,
            at=database.now(session),
        )
        session.add(hold)
        session.flush()
        _record(session, hold, "hold_added", person)
        return hold.id


def release(db: Database, case: str, subject: Subject | None, person: Person) -> Sequence[Hold]:
    """End the holds of a case, or the one on this subject; they stay on record.

    Raises `NotAllowed` for somebody only claimed, unless the hold was added in development.
    """
    with db.transaction() as session:
        released = session.scalars(_standing(case, subject).with_for_update()).all()
        if not released:
            raise UsageError(f"No such hold stands; {_standing_cases(session, case)}.")
        for hold in released:
            four_eyes.must_be_proven(person.actor, hold.environment)
            _end_hold(session, hold, person)
        return released


def take_back(db: Database, hold_id: int, person: Person) -> None:
    """End a hold that protects nothing, for whoever just added it."""
    with db.transaction() as session:
        hold = session.get_one(Hold, hold_id, with_for_update=True)
        if hold.released_at is None:
            _end_hold(session, hold, Person(person.actor, "it matched nothing"))


def _end_hold(session: Session, hold: Hold, person: Person) -> None:
    hold.released_by = person.actor.name
    hold.release_reason = person.reason
    hold.released_at = database.now(session)
    _record(session, hold, "hold_released", person)


def matches(engine: Engine, subject: Subject) -> Iterator[Match]:
    """What each collection holds of a subject, counted on the primary, and each archive."""
    for place in sorted(engine.subjects.root):
        protected = engine.subjects.held(place, [subject])
        if protected is None:
            continue
        kind, _, collection = place.partition("/")
        target = engine.targets.get(kind)
        if target is None:
            yield Match(place, None, "its target's URL is not set here")
            continue
        try:
            records = target.count(collection, protected, engine.clock())
            yield Match(place, records, ttl_indexes=target.ttl_indexes(collection))
        except DeadlineExceeded:
            yield Match(place, None, "counting took too long; an index on its field would help")
        except TendError as error:
            yield Match(place, None, safe_text(error))
    for run, records in held_archives.matches(engine, subject).items():
        yield Match(f"the archive of r-{run}", records)


def await_batches(engine: Engine, hold_id: int) -> list[str]:
    """Return when every batch that was compiled without this hold has ended.

    A batch whose worker is gone is ended by taking its place. Returns the runs whose batches
    are at work still, and may change what the hold protects, when patience has ended.
    """
    until = time.monotonic() + PATIENCE_SECONDS
    while True:
        with engine.database.transaction() as session:
            without = holds.compiled_without(session, hold_id)
            moment = database.now(session)
        if not without or time.monotonic() > until:
            return sorted({f"r-{chunk.run_id}" for chunk in without})
        for chunk in without:
            if chunk.lease_until is not None and chunk.lease_until < moment:
                _end(engine, chunk)
        time.sleep(POLL_SECONDS)


def _end(engine: Engine, lost: Chunk) -> None:
    claim = claims.take_over(engine.database, lost, engine.worker, engine.actor)
    if claim is not None:
        applying.end_attempt(engine, claim)


def _standing(case: str, subject: Subject | None) -> Select[Hold]:
    query = select(Hold).where(Hold.case == case, Hold.released_at.is_(None))
    if subject is None:
        return query
    name, value = subject
    return query.where(Hold.subject == name, Hold.value == value)


def _standing_cases(session: Session, case: str) -> str:
    cases = session.scalars(select(Hold.case).where(Hold.released_at.is_(None)).distinct()).all()
    return did_you_mean(case, cases) if cases else "none does"


def value_digest(hold: Hold) -> str:
    """The hold's value as entries name it: keyed, since they outlive the hold."""
    return hmac.digest(hold.salt, hold.value.encode(), "sha256").hex()


def _record(session: Session, hold: Hold, action: str, person: Person) -> None:
    detail = {
        "reason": person.reason,
        "hold": hold.id,
        "case": hold.case,
        "subject": hold.subject,
        "value_digest": value_digest(hold),
        "anticipatory": hold.anticipatory,
    }
    entries.append(session, action, person.actor, detail=detail)
