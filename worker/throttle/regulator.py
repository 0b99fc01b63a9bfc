"""How fast one attempt at a chunk may go: asks the target before each batch, and rests after it."""

import time
from datetime import timedelta
from typing import cast

from jobs.base import Outcomes
from policies.models import Policy, RecordOptions
from worker import database, runs, stops
from worker.audit.entries import stamp
from worker.database import Database
from worker.engine import Engine, Work
from worker.errors import DeadlineExceeded, TargetError
from worker.registry import frozen_policy
from worker.targets.base import Reading, Target
from worker.throttle import pace
from worker.throttle.answer import GO, Answer, judge
from worker.throttle.gauge import Gauges

LOOK_AGAIN = timedelta(seconds=5)
"""A run that the target stopped asks again after this."""
LOOK_SECONDS = 1.0
"""How often a rest between two batches is interrupted to look whether the run must stop."""
SLOW_SECONDS = 1.0
"""The rest after each batch while the target says slow."""
TELL_SECONDS = 5.0
"""How often a reason that goes on is told anew, for its figures change."""


def ask(gauges: Gauges, target: Target, policy: Policy, latency: float | None = None) -> Answer:
    """What the target's indicators and the latest batch say; raises `TargetError`."""
    try:
        readings = gauges.read(target)
    except DeadlineExceeded:
        return Answer("stop", f"{target.name} did not tell its indicators in time")
    own = (Reading("batch_latency", latency),) if latency is not None else ()
    return judge(policy.throttle, (*readings, *own))


def tell(db: Database, run_id: int, answer: Answer) -> None:
    """Let the run's row say it; a `stop` holds every worker off until it is asked again."""
    with db.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        moment = database.now(session)
        before = run.throttle or {}
        since = before["since"] if before.get("says") == answer.word else stamp(moment)
        said = {"says": answer.word, "why": answer.why, "since": since}
        run.throttle = said if answer.why is not None else None
        run.throttled_until = moment + LOOK_AGAIN if answer.word == "stop" else None


def look_first(engine: Engine, run_id: int) -> None:
    """Before anything is claimed: a target that says stop holds the run off, at no attempt's cost.

    What keeps the target from answering is left to the claim, which counts its tries.
    """
    with engine.database.transaction() as session:
        run = runs.get(session, run_id)
        if stops.of_run(session, run) is not None:
            return
    policy = frozen_policy(run.policy_text)
    try:
        answer = ask(engine.gauges, engine.target_of(cast(RecordOptions, policy.options)), policy)
    except TargetError:
        return
    if answer.word == "stop":
        tell(engine.database, run_id, answer)


class Regulator:
    """One attempt's pace: when its next batch may begin, and how large it may be."""

    def __init__(self, engine: Engine, work: Work, *, is_undo: bool) -> None:
        self._engine = engine
        self._work = work
        self._pace = pace.of(work.policy)
        # An archive object is put back in one batch: it was one.
        self.largest = 1 if is_undo else self._pace.largest
        self._begins = float("-inf")
        self._rested_at = time.monotonic()
        self._between = 0.0
        """Seconds from the end of the rest to the beginning of the batch."""
        self._latency: float | None = None
        self._answer = GO
        self._told = work.run.throttle is not None
        self._told_at = float("-inf")

    def rest(self) -> bool:
        """Wait for the next batch's turn, a second at most: then look whether the run must stop.

        True when the batch may follow. What comes between is part of the rest.
        """
        left = self._begins - self._between - time.monotonic()
        if left > 0:
            self._engine.draining.wait(min(left, LOOK_SECONDS))
        self._rested_at = time.monotonic()
        return left <= LOOK_SECONDS

    def may_go_on(self) -> bool:
        """Ask the target before a batch; False when the chunk has to be given back."""
        target = self._engine.target_of(self._work.options)
        answer = ask(self._engine.gauges, target, self._work.policy, self._latency)
        is_news = answer.word != self._answer.word or self._told != (answer.why is not None)
        is_old = self._told and time.monotonic() - self._told_at > TELL_SECONDS
        if is_news or is_old:
            tell(self._engine.database, self._work.run.id, answer)
            self._told, self._told_at = answer.why is not None, time.monotonic()
        self._answer = answer
        return answer.word != "stop"

    def after(self, size: int, outcomes: Outcomes, began: float) -> int:
        """Records in the next batch, after one of this size that has just ended."""
        self._between = began - self._rested_at
        self._latency = time.monotonic() - began
        pause = self._work.policy.batch.pause
        rest = pause.delta.total_seconds() if pause is not None else 0.0
        largest = self.largest
        if self._answer.word == "slow":
            rest, largest = max(rest, SLOW_SECONDS), max(1, largest // 2)
        turn = self._pace.turn(outcomes.total, self._latency)
        self._begins = began + max(turn, self._latency + rest)
        return min(self._pace.size_after(size, self._latency), largest)
