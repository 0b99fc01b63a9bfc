"""The survey of a plan: what a person reads before saying yes, from the very items planned."""

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from random import Random
from typing import Any

from bson import Decimal128, ObjectId

from jobs.base import Change, Delete, Fail, Item, Update
from worker.masking import mask

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
    before: dict[str, Decimal] = field(default_factory=dict)
    after: dict[str, Decimal] = field(default_factory=dict)
    sample: list[tuple[Item, Change]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._random = Random(self.seed)  # noqa: S311 - a reproducible sample, not a secret

    def add(self, item: Item, change: Change) -> None:
        self.planned += 1
        self._sample(item, change)
        self._date(item)
        if isinstance(change, Fail):
            self.will_fail[change.code] += 1
        elif isinstance(change, Update):
            self._sum(item, change)

    def as_json(self) -> dict[str, Any]:
        return {
            "oldest": _iso(self.oldest),
            "newest": _iso(self.newest),
            "will_fail": dict(self.will_fail),
            "sums": {
                name: {"before": str(self.before[name]), "after": str(self.after[name])}
                for name in self.before
            },
        }

    def sample_as_json(self) -> list[dict[str, Any]]:
        """The sample as people may see it: fields the policy reads or changes, masked."""
        return [_example(item, change) for item, change in self.sample]

    def _sample(self, item: Item, change: Change) -> None:
        """Reservoir sampling: every planned record is equally likely to be shown."""
        if len(self.sample) < SAMPLE:
            self.sample.append((item, change))
            return
        place = self._random.randrange(self.planned)
        if place < SAMPLE:
            self.sample[place] = (item, change)

    def _date(self, item: Item) -> None:
        moment = item.fields.get(self.dated_by) if self.dated_by else _birth(item.key)
        if not isinstance(moment, datetime):
            return
        if self.oldest is None or moment < self.oldest:
            self.oldest = moment
        if self.newest is None or moment > self.newest:
            self.newest = moment

    def _sum(self, item: Item, change: Update) -> None:
        for name, value in change.fields.items():
            before, after = _number(item.fields.get(name)), _number(value)
            if before is not None and after is not None:
                self.before[name] = self.before.get(name, Decimal()) + before
                self.after[name] = self.after.get(name, Decimal()) + after


def _birth(key: Any) -> datetime | None:
    return key.generation_time if isinstance(key, ObjectId) else None


def _number(value: Any) -> Decimal | None:
    if isinstance(value, Decimal128):
        return value.to_decimal()
    if isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        return Decimal(str(value))
    return None


def _iso(moment: datetime | None) -> str | None:
    return moment.isoformat() if moment else None


def _example(item: Item, change: Change) -> dict[str, Any]:
    before = {name: mask(name, value) for name, value in item.fields.items() if name != "_id"}
    example: dict[str, Any] = {"key": mask("_id", item.key), "before": before}
    if isinstance(change, Delete):
        return {**example, "after": None}
    if isinstance(change, Fail):
        return {**example, "after": before, "left": change.code}
    after = {name: mask(name, value) for name, value in change.fields.items()}
    return {**example, "after": {**before, **after}}
