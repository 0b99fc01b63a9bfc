"""Seeing a run to its end: in this process (`--inline`), or by watching the workers (`--wait`)."""

import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

from worker import advance, bootstrap, by_hand, operations
from worker.audit import keeping
from worker.cli import context, output
from worker.cli.progress import Display
from worker.database import Database
from worker.engine import Engine
from worker.operations import Person
from worker.progress.glance import Glance, glance
from worker.settings import Settings
from worker.states import UNFINISHED, State

SLICE_SECONDS = 0.5
POLL_SECONDS = 0.5
_PLANNING = {State.QUEUED, State.PLANNING}


@contextmanager
def inline_engine(settings: Settings, db: Database, person: Person) -> Iterator[Engine]:
    """An engine that works for this person, in this process."""
    context.need_target(settings)
    keeping.require_anchored(settings, db)
    engine = bootstrap.open_engine(settings, db, person.actor, inline=True)
    try:
        yield engine
    finally:
        engine.close()
        keeping.keep_once(settings, db)


def drive(engine: Engine, run_id: int, *, scan: bool = False) -> None:
    """Work on an inline run until it is over or waits for a person.

    Raises `output.Interrupted` after Ctrl-C or SIGTERM; the run can be resumed then.
    """
    with Signals(engine.draining) as signals, Display() as display:
        try:
            while (seen := glance(engine.database, run_id)).state in UNFINISHED:
                display.show(seen)
                signals.check()
                _one_slice(engine, seen, signals, scan=scan)
        except KeyboardInterrupt:
            operations.interrupted(engine, run_id)
            again = f"Interrupted; continue with `tend resume r-{run_id} --inline`."
            raise output.Interrupted(run_id, signals.asked, again) from None
        finally:
            by_hand.release(engine.database, run_id)
    by_hand.tidy(engine, run_id, output.say)


def follow(db: Database, run_id: int) -> None:
    """Watch a run that workers work on until it is over or waits for a person."""
    try:
        with Display() as display:
            while (seen := glance(db, run_id)).state in UNFINISHED:
                display.show(seen)
                time.sleep(POLL_SECONDS)
    except KeyboardInterrupt:
        onward = f"r-{run_id} goes on without this command; `tend show r-{run_id}` looks at it."
        raise output.Interrupted(run_id, signal.SIGINT, onward) from None


def _one_slice(engine: Engine, seen: Glance, signals: "Signals", *, scan: bool) -> None:
    started = time.monotonic()
    try:
        if seen.state in _PLANNING:
            with signals.at_once():
                worked = advance.plan(engine, seen.run_id, scan=scan)
        else:
            advance.advance(engine, seen.run_id, seconds=SLICE_SECONDS)
            worked = time.monotonic() - started >= SLICE_SECONDS
    except Exception as error:
        now = glance(engine.database, seen.run_id).state
        if now in UNFINISHED or seen.state in _PLANNING:
            raise output.RunFailed(seen.run_id, error) from error
        return  # the run is over; what it still owes, `tidy` tries again
    if not worked and glance(engine.database, seen.run_id).state in UNFINISHED:
        engine.draining.wait(POLL_SECONDS)


class Signals:
    """The first Ctrl-C or SIGTERM ends the batch that runs; a second one does not wait for it.

    Planning changes nothing, so there the first one is enough.
    """

    def __init__(self, draining: threading.Event) -> None:
        self.asked = 0
        self._draining = draining
        self._interruptible = False
        self._before = {
            number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)
        }

    def __enter__(self) -> "Signals":
        for number in self._before:
            signal.signal(number, self._ask)
        return self

    def __exit__(self, *_: object) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def check(self) -> None:
        if self.asked:
            raise KeyboardInterrupt

    @contextmanager
    def at_once(self) -> Iterator[None]:
        """In this block a signal interrupts whatever is being done."""
        self._interruptible = True
        try:
            yield
        finally:
            self._interruptible = False

    def _ask(self, number: int, _frame: FrameType | None) -> None:
        again = self.asked != 0
        self.asked = number
        if again or self._interruptible:
            raise KeyboardInterrupt
        # An event set in a handler can wait for ever for a lock that this thread holds.
        threading.Thread(target=self._drain).start()

    def _drain(self) -> None:
        output.say("Stopping after the batch that runs; once more stops at once.")
        self._draining.set()
