"""One record explained: what it is, what each policy would do to it, and what runs did."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import select

from jobs.base import Item
from policies.models import Policy
from policies.subjects import Subjects
from worker.audit.entries import stamp
from worker.database import Database
from worker.errors import IndexMissing
from worker.explain import buried, past
from worker.explain.address import Address, kind_of
from worker.explain.record import Case, judge
from worker.explain.store import Store
from worker.logs import safe_text
from worker.masking import mask
from worker.registry import job_of
from worker.switches import next_fire, state_of
from worker.tables import Hold, RunCollection, Switch
from worker.targets.base import Look, Target

Document = dict[str, Any]


@dataclass(frozen=True)
class Question:
    """What explaining needs to know: the policies in effect, where to look, and what now is."""

    policies: Sequence[Policy]
    store: Store
    target: Target
    subjects: Subjects
    now: datetime
    seconds: float = past.SECONDS


def places(policies: Iterable[Policy], db: Database) -> set[str]:
    """Every target and collection that a policy writes to, or a run did."""
    with db.transaction() as session:
        of_runs = session.scalars(select(RunCollection.collection).distinct()).all()
    return {*of_runs, *(place for each in policies for place in each.collections)}


def explain(question: Question, address: Address) -> Document:
    """Everything there is to say; a record that is not there may still have a past."""
    policies = _of_collection(question, address)
    look = question.target.look(address.collection)
    found, notes = _find(look, policies, address)
    keys = [item.key for item, _ in found] or [
        *address.readings,
        *_buried(question, policies, address),
    ]
    history = past.search(question.store, address.place, keys, question.seconds)
    return {
        "target": address.target,
        "collection": address.collection,
        "id": mask("_id", address.readings[0]),
        "records": [_record(question, look, address, item, name) for item, name in found],
        "notes": notes,
        "runs": history.found,
        "search": {name: value for name, value in asdict(history).items() if name != "found"},
    }


def _of_collection(question: Question, address: Address) -> list[Policy]:
    return [each for each in question.policies if each.collection == address.place]


def _names(policies: Sequence[Policy]) -> list[str]:
    """The fields beside the key by which people name a record of this collection."""
    return list(dict.fromkeys(name for each in policies for name in job_of(each).named_by(each)))


def _buried(question: Question, policies: Sequence[Policy], address: Address) -> list[Any]:
    """The keys of records that are gone and had this name."""
    names = _names(policies)
    if not names:
        return []
    return buried.keys(question.store, address.place, names, address.readings, question.seconds)


def _find(
    look: Look, policies: Sequence[Policy], address: Address
) -> tuple[list[tuple[Item, str]], list[str]]:
    """The records that the id may mean, each with the field that it was found by."""
    found = [(item, "key") for item in look.find(address.readings)]
    notes = []
    for field in _names(policies):
        try:
            named = look.find(address.readings, field)
        except IndexMissing as error:
            notes.append(safe_text(error))
            continue
        seen = [item.key for item, _ in found]
        found += [(item, field) for item in named if item.key not in seen]
    return found, notes


def _record(
    question: Question, look: Look, address: Address, item: Item, found_by: str
) -> Document:
    policies = _of_collection(question, address)
    case = Case(look, item, question.now)
    facts: Document = {}
    for policy in policies:
        facts |= dict(job_of(policy).describe(policy, item.fields, question.now))
    return {
        "key": mask("_id", item.key),
        "key_type": kind_of(item.key),
        "found_by": found_by,
        "facts": {name: mask(name, value) for name, value in facts.items()},
        "holds": [_hold(hold) for hold in _protecting(question, look, address, item)],
        "policies": [_with_schedule(question, policy, judge(case, policy)) for policy in policies],
    }


def _protecting(question: Question, look: Look, address: Address, item: Item) -> Iterator[Hold]:
    """The legal holds on this record; security jobs alone may change it while they stand."""
    if not question.subjects.declares(address.place):
        return
    with question.store.database.transaction() as session:
        standing = session.scalars(select(Hold).where(Hold.released_at.is_(None))).all()
    for hold in standing:
        protected = question.subjects.held(address.place, [(hold.subject, hold.value)])
        if protected is not None and look.matches(protected, question.now, item.key):
            yield hold


def _hold(hold: Hold) -> Document:
    return {
        "case": hold.case,
        "subject": hold.subject,
        "since": stamp(hold.at),
        "reason": hold.reason,
    }


def _with_schedule(question: Question, policy: Policy, judged: Document) -> Document:
    """The first fire that would find the record, and whether that fire may change it."""
    with question.store.database.transaction() as session:
        switch = session.get(Switch, policy.name)
    begins = judged["from"]
    fires = next_fire(policy, switch, datetime.fromisoformat(begins)) if begins else None
    return {**judged, "state": state_of(policy, switch), "next_fire": fires}
