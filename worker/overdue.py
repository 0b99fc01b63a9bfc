"""What a policy would find now, counted without a run: by its own job, read-only, in time."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import chain, islice
from typing import Any, cast

from bson import ObjectId

from jobs.base import Item, PlanContext, Reader, RelatedReader
from policies.models import Policy, RecordOptions
from policies.selectors import Selector, cutoffs
from worker.errors import DeadlineExceeded
from worker.registry import job_of
from worker.targets.base import Target
from worker.targets.deadline import within
from worker.targets.mongo_restore import value_at


@dataclass(frozen=True)
class Overdue:
    """How many records a policy would find, and the oldest date among those counted."""

    count: int
    at_least: bool
    """True when counting stopped before the end, for there were enough or time was up."""
    oldest: datetime | None


@dataclass(frozen=True)
class Source:
    """Where a policy's records are, and the moment that counts as now."""

    target: Target
    policy: Policy
    now: datetime
    held: Selector | None = None
    """What a legal hold protects is overdue for nobody."""

    @property
    def options(self) -> RecordOptions:
        return cast(RecordOptions, self.policy.options)

    def items(self, *more: str) -> Iterator[Item]:
        """What a plan would hold, with these fields beside its own; refuses to scan."""
        job = job_of(self.policy)
        reader = self.target.reader(self.options.collection, self.now, scan=False, held=self.held)
        context = PlanContext(self.now, _WithFields(reader, more))
        return chain.from_iterable(job.plan(context, self.policy, job.selector(self.policy)))

    def date_of(self, item: Item) -> datetime | None:
        """The date by which a plan says how old its records are."""
        name = self.dated_by
        if name is None:
            return item.key.generation_time if isinstance(item.key, ObjectId) else None
        value = value_at(item.fields, name)
        return value if isinstance(value, datetime) else None

    @property
    def dated_by(self) -> str | None:
        ages = cutoffs(job_of(self.policy).selector(self.policy), self.now)
        return self.options.dated_by or next(iter(ages), None)


def due_before(policy: Policy, now: datetime) -> datetime:
    """Before which date a record is due; a policy that knows no age finds each at once."""
    ages = cutoffs(job_of(policy).selector(policy), now)
    dated_by = cast(RecordOptions, policy.options).dated_by or next(iter(ages), None)
    return ages.get(dated_by, now) if dated_by is not None else now


def overdue(source: Source, seconds: float, enough: int) -> Overdue:
    """Count up to `enough` for so long; raises `TargetError` when it cannot be counted at all."""
    count, oldest, at_least = 0, None, False
    try:
        with within(seconds):
            for item in islice(source.items(), enough + 1):
                count += 1
                date = source.date_of(item)
                oldest = min(oldest or date, date) if date is not None else oldest
    except DeadlineExceeded:
        at_least = True
    return Overdue(min(count, enough), at_least or count > enough, oldest)


class _WithFields:
    """A reader that brings a few fields more than the job asks for."""

    def __init__(self, reader: Reader, more: Sequence[str]) -> None:
        self._reader = reader
        self._more = more

    def __getattr__(self, name: str) -> Any:
        """Whatever else the reader can do, and a job may ask of it."""
        return getattr(self._reader, name)

    def check(self, selector: Selector) -> None:
        self._reader.check(selector)

    def select(self, selector: Selector, fields: Sequence[str]) -> Iterator[Sequence[Item]]:
        return self._reader.select(selector, self._with_more(fields))

    def walk(self, selector: Selector, fields: Sequence[str]) -> Iterator[Sequence[Item]]:
        return cast(RelatedReader, self._reader).walk(selector, self._with_more(fields))

    def _with_more(self, fields: Sequence[str]) -> tuple[str, ...]:
        return tuple(dict.fromkeys([*fields, *self._more]))
