"""What each policy would do to one record, and when: the target judges, condition by condition."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from jobs.base import Change, Delete, Item, Quarantine, Record, Update
from policies.models import Policy
from policies.selectors import AllOf, AnyOf, NoneOf, Selector, field_of, leaves
from worker.audit.entries import stamp
from worker.explain.wording import in_words, parts_of, turning_points, turns_at
from worker.masking import mask
from worker.registry import job_of
from worker.targets.base import Look
from worker.targets.mongo_restore import value_at
from worker.targets.mongo_unique import MISSING

Document = dict[str, Any]
_JUST_AFTER = timedelta(milliseconds=1)


@dataclass(frozen=True)
class Case:
    """One record, as a look found it, and the moment that counts as now."""

    look: Look
    item: Item
    now: datetime

    @property
    def record(self) -> Record:
        return self.item.fields

    def matches(self, selector: Selector, moment: datetime) -> bool:
        return self.look.matches(selector, moment, self.item.key)


def judge(case: Case, policy: Policy) -> Document:
    """Whether the policy would touch the record, from when, until when, how, and why."""
    job = job_of(policy)
    selector = job.selector(policy)
    begins, ends = _span(case, selector)
    change = job.change(policy, case.record) if begins is not None else None
    return {
        "policy": policy.name,
        "job": policy.job,
        "matches": begins == case.now,
        "from": stamp(begins) if begins is not None else None,
        "until": stamp(ends) if ends is not None else None,
        "change": _change(change) if change is not None else None,
        "condition": _condition(case, selector),
        "asks_elsewhere": not job.is_said_by_selector(policy),
    }


def _span(case: Case, selector: Selector) -> tuple[datetime | None, datetime | None]:
    """From when to when the selector matches, as far as time alone can change it."""
    begins = case.now if case.matches(selector, case.now) else None
    for moment in _ahead(case, selector):
        matches = case.matches(selector, moment + _JUST_AFTER)
        if begins is None and matches:
            begins = moment
        elif begins is not None and not matches:
            return begins, moment
    return begins, None


def _ahead(case: Case, selector: Selector) -> Iterator[datetime]:
    points = set(turning_points(selector, case.record))
    return iter(sorted(point for point in points if point >= case.now))


def _condition(case: Case, selector: Selector) -> Document:
    """A condition in words, whether it holds now, and the value that decides it."""
    parts = [_condition(case, part) for part in parts_of(selector)]
    document: Document = {"says": in_words(selector), "holds": _holds(case, selector, parts)}
    if parts:
        return {**document, "parts": parts}
    field = field_of(next(leaves(selector)))
    value = value_at(case.record, field)
    turn = turns_at(selector, case.record)
    return {
        **document,
        "field": field,
        "present": value is not MISSING,
        "value": None if value is MISSING else mask(field, value),
        "turns_at": stamp(turn) if turn is not None and turn >= case.now else None,
    }


def _holds(case: Case, selector: Selector, parts: list[Document]) -> bool:
    holding = [bool(part["holds"]) for part in parts]
    match selector:
        case AnyOf():
            return any(holding)
        case AllOf():
            return all(holding)
        case NoneOf():
            return not any(holding)
        case _:
            return case.matches(selector, case.now)


def _change(change: Change) -> Document:
    match change:
        case Delete():
            return {"does": "delete"}
        case Update(fields=fields, unset=unset):
            written = {name: mask(name, fields[name]) for name in fields}
            return {"does": "set", "fields": written, "unset": list(unset)}
        case Quarantine(codes=codes):
            return {"does": "quarantine", "codes": list(codes)}
        case _:
            return {"does": "leave", "code": change.code}
