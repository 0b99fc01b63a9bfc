"""How far a run is: a bar on a terminal, a line now and then elsewhere, on standard error."""

import time
from dataclasses import dataclass
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from sqlalchemy.orm import Session

from worker import claims, runs, stops
from worker.cli import output
from worker.cli.pace import Pace
from worker.database import Database
from worker.states import State
from worker.tables import Run
from worker.waiting import waiting_for

_LINE_SECONDS = 5.0


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


class Display:
    """Shows each glance it is given until its `with` block ends."""

    def __init__(self) -> None:
        console = output.console(stderr=True)
        self._bar = Progress(
            TextColumn("{task.description}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            console=console,
            transient=True,
            disable=not console.is_terminal,
        )
        self._task = self._bar.add_task("", total=None)
        self._pace = Pace()
        self._last: tuple[State, str | None] | None = None
        self._line_at = 0.0

    def __enter__(self) -> "Display":
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._bar.stop()

    def show(self, seen: Glance) -> None:
        self._pace.note(seen.state, seen.done, time.monotonic())
        pace = self._pace.words(seen.total - seen.done)
        if not self._bar.disable:
            total, words = seen.total or None, f"{seen.words}{pace}"
            self._bar.update(self._task, description=words, completed=seen.done, total=total)
            return
        is_news = self._last != (seen.state, seen.waits_for)
        if is_news or time.monotonic() - self._line_at > _LINE_SECONDS:
            counts = f", {seen.done:,} of {seen.total:,}" if seen.total else ""
            output.say(f"{seen.words}{counts}{pace}")
            self._last = (seen.state, seen.waits_for)
            self._line_at = time.monotonic()
