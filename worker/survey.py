"""The survey of a plan: what a person reads before saying yes, from the very items planned."""

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, time
from decimal import Decimal
from random import Random
from typing import Any

from bson import Decimal128, ObjectId

from jobs.base import Change, Delete, Fail, Item, Quarantine, Update
from worker.masking import mask
from worker.targets.page import children_of, keys_of, values_of

SAMPLE = 10


@dataclass
class Survey:
    """Counts, extremes, sums and a random sample, gathered as the keys stream by."""

    seed: int
    dated_by: str | None
    planned: int = 0
    oldest: datetime | None = None
    newest: datetime | None = None
    will_fail: Counter[str] = field(default_factory=Counter)
    will_quarantine: Counter[str] = field(default_factory=Counter)
    before: dict[str, Decimal] = field(default_factory=dict)
    after: dict[str, Decimal] = field(default_factory=dict)
    cascade: Counter[str] = field(default_factory=Counter)
    """By collection, the records that go with the planned ones."""
    sample: list[tuple[Item, Change]] = field(default_factory=list)

    @property
    def children(self) -> int:
        return self.cascade.total()

    def __post_init__(self) -> None:
        self._random = Random(self.seed)  # noqa: S311 - a reproducible sample, not a secret
        self._next = 0
        self._weight = 1.0

    def add(self, items: Sequence[Item], changes: Sequence[Change]) -> None:
        """One page of the plan; what is asked of every record here is asked in bulk."""
        self._sample(items, changes)
        self.planned += len(items)
        self._date(items)
        for children in children_of(items):
            self.cascade.update(children)
        if set(map(type, changes)) == {Delete}:
            return  # a purge's records are neither summed nor left
        for item, change in zip(items, changes, strict=True):
            if isinstance(change, Fail):
                self.will_fail[change.code] += 1
            elif isinstance(change, Quarantine):
                self.will_quarantine[", ".join(change.codes)] += 1
            elif isinstance(change, Update):
                self._sum(item, change)

    def as_json(self) -> dict[str, Any]:
        return {
            "oldest": _iso(self.oldest),
            "newest": _iso(self.newest),
            "will_fail": dict(self.will_fail),
            "will_quarantine": dict(self.will_quarantine),
            "cascade": dict(self.cascade),
            "sums": {
                name: {"before": str(self.before[name]), "after": str(self.after[name])}
                for name in self.before
            },
        }

    def sample_as_json(self) -> list[dict[str, Any]]:
        """The sample as people may see it: fields the policy reads or changes, masked."""
        return [_example(item, change) for item, change in self.sample]

    def _sample(self, items: Sequence[Item], changes: Sequence[Change]) -> None:
        """Reservoir sampling: every planned record is equally likely to be shown.

        Li's algorithm L leaps to the next record that enters, so most cost nothing.
        """
        while self._next < self.planned + len(items):
            place = self._next - self.planned
            self._enter(items[place], changes[place])
            self._next += self._leap()

    def _enter(self, item: Item, change: Change) -> None:
        if len(self.sample) < SAMPLE:
            self.sample.append((item, change))
        else:
            self.sample[self._random.randrange(SAMPLE)] = (item, change)

    def _leap(self) -> int:
        if len(self.sample) < SAMPLE:
            return 1
        self._weight *= (1 - self._random.random()) ** (1 / SAMPLE)
        return 1 + int(math.log(1 - self._random.random()) / math.log1p(-self._weight))

    def _date(self, items: Sequence[Item]) -> None:
        name = self.dated_by
        found: list[Any]
        if name is None or name == "_id":
            found = list(map(_birth, keys_of(items)))
        else:
            found = values_of(items, name)
        if moments := found if set(map(type, found)) == {datetime} else list(_moments(found)):
            oldest, newest = _in_utc(min(moments)), _in_utc(max(moments))
            self.oldest = min(self.oldest or oldest, oldest)
            self.newest = max(self.newest or newest, newest)

    def _sum(self, item: Item, change: Update) -> None:
        for name, value in change.fields.items():
            before, after = _number(item.fields.get(name)), _number(value)
            if before is not None and after is not None:
                self.before[name] = self.before.get(name, Decimal()) + before
                self.after[name] = self.after.get(name, Decimal()) + after


def _birth(key: Any) -> datetime | None:
    return key.generation_time if isinstance(key, ObjectId) else None


def _moments(values: Sequence[Any]) -> Iterator[datetime]:
    for value in values:
        if isinstance(value, date):
            yield _in_utc(value) if isinstance(value, datetime) else _midnight(value)


def _in_utc(moment: datetime) -> datetime:
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _midnight(value: date) -> datetime:
    """A day stands for its beginning in UTC."""
    return datetime.combine(value, time(), UTC)


def _number(value: Any) -> Decimal | None:
    if isinstance(value, Decimal128):
        number = value.to_decimal()
        return number if number.is_finite() else None
    if isinstance(value, Decimal):
        return value if value.is_finite() else None
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return Decimal(str(value))
    return None


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _example(item: Item, change: Change) -> dict[str, Any]:
    before = {name: mask(name, value) for name, value in item.fields.items() if name != "_id"}
    example: dict[str, Any] = {"key": mask("_id", item.key), "before": before}
    if isinstance(change, Delete):
        goes_too = {"cascade": dict(item.children)} if item.children else {}
        return {**example, "after": None, **goes_too}
    if isinstance(change, Fail):
        return {**example, "after": before, "left": change.code}
    if isinstance(change, Quarantine):
        return {**example, "after": before, "quarantined": ", ".join(change.codes)}
    after = {name: mask(name, value) for name, value in change.fields.items()}
    return {**example, "after": {**before, **after}, "unset": list(change.unset)}
