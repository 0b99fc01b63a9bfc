"""One chunk's entries held against its row: each attempt has one intent and one outcome."""

import hashlib
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Row

from worker.audit.body import Outcome
from worker.audit.findings import Lacking
from worker.states import State
from worker.tables import OUTCOMES

_SETTLED = (State.SUCCEEDED, State.UNDONE)
"""In these no claim is live; every other state may hold one, a failed or cancelled run too."""


@dataclass(frozen=True)
class _Answer:
    """What one outcome says; its archives as their number and a digest over them in order."""

    attempt: int
    counts: tuple[int, ...]
    cascade: dict[str, int]
    archives: int
    digest: str


@dataclass
class Attempts:
    """What the entries say of one chunk."""

    intents: Counter[int] = field(default_factory=Counter)
    outcomes: Counter[int] = field(default_factory=Counter)
    _answers: list[_Answer] = field(default_factory=list)

    def answer(self, said: Outcome) -> None:
        """Take an outcome; `stopped` may follow another one, if the fence knew of more."""
        if said.result != "stopped" or not self.outcomes[said.attempt]:
            self.outcomes[said.attempt] += 1
        *_, digest = _digests((archive.name, archive.sha256) for archive in said.archives)
        counts = tuple(getattr(said.counts, name) for name in OUTCOMES)
        self._answers.append(
            _Answer(said.attempt, counts, said.cascade, len(said.archives), digest)
        )

    @property
    def final(self) -> tuple[int, ...]:
        """The counts of the last outcome."""
        return self._answers[-1].counts if self._answers else (0,) * len(OUTCOMES)

    @staticmethod
    def is_open(row: Row[Any], state: State) -> bool:
        """Whether the row's attempt is a live claim, whose outcome is still to come."""
        return row.state == "claimed" and state not in _SETTLED

    def compare(self, row: Row[Any], state: State) -> Iterator[str]:
        """What is off between these entries and the chunk's row; `state` is its run's."""
        chunk = f"chunk {row.direction} {row.number}"
        for attempt in sorted({*range(1, row.attempt + 1), *self.intents, *self.outcomes}):
            expected = int(attempt <= row.attempt)
            if self.intents[attempt] != expected:
                yield _counted(self.intents[attempt], expected, "intent", attempt, chunk)
            expected -= attempt == row.attempt and self.is_open(row, state)
            if self.outcomes[attempt] != expected:
                yield _counted(self.outcomes[attempt], expected, "outcome", attempt, chunk)
        yield from self._compare_archives(row, chunk)

    def _compare_archives(self, row: Row[Any], chunk: str) -> Iterator[str]:
        """A fence only grows: what an outcome lists, the row lists first."""
        try:
            digests = list(_digests((each["name"], each["sha256"]) for each in row.archives))
        except (KeyError, TypeError):
            yield f"has a {chunk} whose list of archives cannot be read"
            return
        counts = tuple(getattr(row, name) for name in OUTCOMES)
        for answer in self._answers:
            said = f"has an outcome of attempt {answer.attempt} at {chunk} whose"
            if answer.archives >= len(digests) or answer.digest != digests[answer.archives]:
                yield f"{said} archives are not those of the chunk"
            elif answer.archives == len(row.archives) and (answer.counts, answer.cascade) != (
                counts,
                row.cascade,
            ):
                yield f"{said} counts are not those of the chunk"
        answered = self._answers[-1].archives if self._answers else 0
        if row.state != "claimed" and answered < len(row.archives):
            yield f"has a {chunk} with more archives than its last outcome says"


def _counted(found: int, expected: int, what: str, attempt: int, chunk: str) -> str:
    says = f"has {found} {what}s of attempt {attempt} at {chunk}, where {expected} belongs"
    return Lacking(says) if found < expected else says


def _digests(archives: Iterable[tuple[str, str]]) -> Iterator[str]:
    """A digest over the first 0, 1, 2, … of the archives."""
    running = hashlib.sha256()
    yield running.hexdigest()
    for name, sha256 in archives:
        running.update(f"{name} {sha256}\n".encode())
        yield running.hexdigest()
