"""Where a run stands at one moment, in the words of whoever waits for it."""

from dataclasses import dataclass

from sqlalchemy.orm import Session

from worker import claims, runs, stops
from worker.database import Database
from worker.states import State
from worker.tables import Run
from worker.waiting import waiting_for


@dataclass(frozen=True)
class Glance:
    """Where a run stands at one moment."""

    run_id: int
    state: State
    done: int
    total: int
    waits_for: str | None

    @property
    def words(self) -> str:
        waiting = f", waits for {self.waits_for}" if self.waits_for else ""
        return f"r-{self.run_id} {self.state}{waiting}"


def glance(database: Database, run_id: int) -> Glance:
    with database.transaction() as session:
        return glance_of(session, runs.get(session, run_id))


def glance_of(session: Session, run: Run) -> Glance:
    applied = claims.totals(session, run.id)
    if run.phase in {"settle", "undo", "only"}:
        done = claims.totals(session, run.id, "undo").total
        total = done + 1 if run.phase == "only" else applied.changed
    else:
        done, total = applied.total, run.planned
    return Glance(run.id, State(run.state), done, total, _waits_for(session, run))


def _waits_for(session: Session, run: Run) -> str | None:
    if not run.inline:
        return waiting_for(session, run)
    other = runs.busy(session, run) if run.state == State.QUEUED else None
    if other is not None:
        return f"r-{other.id} ({other.policy}), which is {other.state}"
    if run.state not in claims.WORKING.values():
        return None
    stop = stops.of_run(session, run)
    return stop.why if stop is not None else None
