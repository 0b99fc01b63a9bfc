"""One run's entries held against its rows: nothing said twice, nothing left out."""

import hashlib
import json
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator
from typing import Any

from pydantic import ValidationError
from sqlalchemy import Row

from worker.audit.approvals import Approvals
from worker.audit.attempts import Attempts
from worker.audit.body import Body, Intent, Outcome, Succeeded
from worker.states import State
from worker.tables import OUTCOMES, Run

_ENDS = {f"run_{state}": state for state in State} | {"run_created": State.QUEUED}
_BEGINNINGS = ("run_created", "run_skipped")
COLUMNS = ("run_id", "direction", "number", "state", "attempt", "archives", "cascade", *OUTCOMES)


class Ledger:
    """Takes a run's entries in order, then compares what they say with the run and its chunks."""

    def __init__(self, run: Run) -> None:
        self.open_claims = 0
        self._run = run
        self._state: State | None = None
        self._plan: dict[str, Any] | None = None
        self._succeeded: Succeeded | None = None
        self._chunks: dict[tuple[str, int], Attempts] = defaultdict(Attempts)
        self._approvals = Approvals(run)

    def take(self, body: Body) -> Iterator[str]:
        """Note what an entry says; yields what is off with it where it stands."""
        run = self._run
        if (body.policy, body.policy_version) != (run.policy, run.policy_version):
            yield "names another policy or version than its run"
        if body.action in _ENDS:
            before, self._state = self._state, _ENDS[body.action]
            start = None if body.action in _BEGINNINGS else body.detail.get("from")
            if start != before:
                yield f"moves its run on from {start}, which the entries before it left {before}"
        yield from self._approvals.take(body)
        try:
            self._take_detail(body)
        except ValidationError as error:
            where = ".".join(str(part) for part in error.errors()[0]["loc"])
            yield f"has a detail that no {body.action} has, at {where}"

    def _take_detail(self, body: Body) -> None:
        match body.action:
            case "chunk_intent":
                intent = Intent.model_validate(body.detail)
                self._chunks[intent.direction, intent.chunk].intents[intent.attempt] += 1
            case "chunk_outcome":
                outcome = Outcome.model_validate(body.detail)
                self._chunks[outcome.direction, outcome.chunk].answer(outcome)
            case "run_succeeded":
                self._succeeded = Succeeded.model_validate(body.detail)
            case "run_planned" | "run_refused" if "digest" in body.detail:
                self._plan = body.detail

    def close(self, chunks: Iterable[Row[Any]]) -> Iterator[str]:
        """What is off with the run as a whole; `chunks` are its rows, with these `COLUMNS`."""
        run = self._run
        if self._state != run.state:
            yield f"is {run.state}, and its entries left it {self._state}"
        if hashlib.sha256(run.policy_text.encode()).hexdigest() != run.policy_version:
            yield "has a policy text that its policy version is not the hash of"
        if self._plan is not None:
            yield from _compare_plan(run, self._plan)
        yield from self._compare_chunks(chunks)
        for direction, number in sorted(self._chunks):
            yield f"has entries of a chunk {direction} {number} that is not there"

    def _compare_chunks(self, chunks: Iterable[Row[Any]]) -> Iterator[str]:
        state = self._run.state
        over = {"apply": self._succeeded is not None, "undo": state == State.UNDONE}
        rows = answers = (0,) * len(OUTCOMES)
        cascade: Counter[str] = Counter()
        for row in chunks:
            attempts = self._chunks.pop((row.direction, row.number), Attempts())
            self.open_claims += attempts.is_open(row, state)
            yield from attempts.compare(row, state)
            # What an earlier undo left undone is stopped, and a later one has done it.
            ends = {"done", "stopped"} if row.direction == "undo" else {"done"}
            if over.get(row.direction) and row.state not in ends:
                yield f"is past its chunk {row.direction} {row.number}, which is {row.state}"
            if row.direction == "apply":
                cascade.update(row.cascade)
                rows = _sum(rows, tuple(getattr(row, name) for name in OUTCOMES))
                answers = _sum(answers, attempts.final)
        if self._succeeded is not None:
            counts = tuple(getattr(self._succeeded.counts, name) for name in OUTCOMES)
            if counts != rows or self._succeeded.cascade != {
                name: n for name, n in cascade.items() if n
            }:
                yield "succeeded with other counts than its chunks add up to"
            if counts != answers:
                yield "succeeded with other counts than its outcomes add up to"


def _compare_plan(run: Run, plan: dict[str, Any]) -> Iterator[str]:
    selector = hashlib.sha256(json.dumps(run.selector, sort_keys=True).encode()).hexdigest()
    facts = {"digest": run.digest, "planned": run.planned, "selector_digest": selector}
    for name, value in facts.items():
        if plan.get(name) != value:
            yield f"has another {name} than the entry of its plan"


def _sum(some: tuple[int, ...], more: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(one + other for one, other in zip(some, more, strict=True))
