"""Violations without a run: what is overdue, grouped by whom or what it belongs to."""

from collections.abc import Hashable, Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from policies.errors import TendError
from policies.models import Policy
from policies.selectors import cutoffs
from worker.audit.entries import stamp
from worker.errors import DeadlineExceeded
from worker.logs import safe_text
from worker.masking import mask
from worker.overdue import Source
from worker.registry import is_task, job_of
from worker.targets.deadline import within
from worker.targets.mongo_restore import value_at
from worker.targets.mongo_unique import MISSING

Document = dict[str, Any]


@dataclass
class Group:
    """What is overdue of one user or store, or of nobody."""

    value: Any
    records: int = 0
    oldest: datetime | None = None

    def add(self, date: datetime | None) -> None:
        self.records += 1
        if date is not None:
            self.oldest = min(self.oldest or date, date)


def with_ages(policies: Iterable[Policy], now: datetime) -> Iterator[Policy]:
    """The policies that a record runs into by growing old."""
    for policy in policies:
        if not is_task(policy) and cutoffs(job_of(policy).selector(policy), now):
            yield policy


def retention(source: Source, by: str, seconds: float, limit: int) -> Document:
    """The largest groups with their oldest record, and the rest summed up.

    What takes longer than `seconds` is counted as far as it came, and says so.
    """
    groups: dict[Hashable, Group] = {}
    at_least = False
    try:
        with within(seconds):
            _gather(source, by, groups)
    except DeadlineExceeded:
        at_least = True
    except TendError as error:
        return unknown(source.policy, by, safe_text(error))
    summed = _summed(source, by, groups, limit)
    return {**unknown(source.policy, by, ""), **summed, "at_least": at_least, "problem": None}


def unknown(policy: Policy, by: str, problem: str) -> Document:
    """The same of a policy that could not be looked at."""
    return {
        "policy": policy.name,
        "by": by,
        "records": None,
        "at_least": False,
        "groups": [],
        "rest": {"groups": 0, "records": 0},
        "without": 0,
        "oldest": None,
        "oldest_age_seconds": None,
        "problem": problem,
    }


def _summed(source: Source, by: str, groups: dict[Hashable, Group], limit: int) -> Document:
    dates = [group.oldest for group in groups.values() if group.oldest is not None]
    without = groups.pop(MISSING, Group(None))
    ordered = sorted(groups.values(), key=lambda group: -group.records)
    rest = ordered[limit:]
    return {
        "records": sum(group.records for group in ordered) + without.records,
        "groups": [_as_json(group, by, source.now) for group in ordered[:limit]],
        "rest": {"groups": len(rest), "records": sum(group.records for group in rest)},
        "without": without.records,
        **_oldest(min(dates, default=None), source.now),
    }


def _gather(source: Source, by: str, groups: dict[Hashable, Group]) -> None:
    for item in source.items(by):
        value = value_at(item.fields, by)
        value = MISSING if value is None else value
        key = _hashable(value)
        if key not in groups:
            groups[key] = Group(value)
        groups[key].add(source.date_of(item))


def _hashable(value: Any) -> Hashable:
    """Text as it is, and the rest by its type, too: 1, True and "1" are three users."""
    is_plain = isinstance(value, str) or value is MISSING
    return value if is_plain else (type(value).__name__, str(value))


def _as_json(group: Group, by: str, now: datetime) -> Document:
    return {
        "value": mask(by, group.value),
        "records": group.records,
        **_oldest(group.oldest, now),
    }


def _oldest(date: datetime | None, now: datetime) -> Document:
    return {
        "oldest": stamp(date) if date is not None else None,
        "oldest_age_seconds": int((now - date).total_seconds()) if date is not None else None,
    }
