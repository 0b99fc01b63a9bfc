"""What the demonstration shows while it runs: bars on a terminal, plain lines elsewhere."""

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn


class Steps:
    """One bar per thing that takes time, or a line whenever a tenth more of it is done."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._bars = Progress(
            TextColumn("{task.description:<24}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[state]}"),
            console=console,
        )
        self._tasks: dict[str, TaskID] = {}
        self._said: dict[str, tuple[str, int]] = {}

    @contextmanager
    def shown(self) -> Iterator["Steps"]:
        if not self._console.is_terminal:
            yield self
            return
        with self._bars:
            yield self

    def show(self, name: str, done: int, total: int, state: str = "") -> None:
        if self._console.is_terminal:
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(name, state=state)
            self._bars.update(self._tasks[name], completed=done, total=total, state=state)
            return
        tenth = (state, 10 * done // total if total else 10)
        if self._said.get(name) != tenth:
            self._said[name] = tenth
            self._console.print(f"{name}: {done:,} of {total:,} {state}".rstrip())
