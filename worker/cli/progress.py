"""How far a run is: a bar on a terminal, a line now and then elsewhere, on standard error."""

import time
from types import TracebackType

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from worker.cli import output
from worker.progress.glance import Glance
from worker.progress.pace import Pace
from worker.states import State

_LINE_SECONDS = 5.0


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
