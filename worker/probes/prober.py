"""The prober of a worker: looks run in threads of their own, beside those that repair.

A look that hangs keeps its thread and nothing else: it is told as one that gave no answer, and
its probe is not asked again by this process until the thread has ended.
"""

import threading
import time
from collections.abc import Iterable
from dataclasses import dataclass, field

import structlog

from policies.errors import PolicyError, TendError
from policies.probes import Probe
from worker.chores import Chore
from worker.engine import Engine
from worker.keys import Keyring
from worker.logs import safe_text
from worker.probes import claiming, looking, recording
from worker.probes.context import Site
from worker.probes.looking import Looked
from worker.registry import probes_in
from worker.settings import Settings

TICK_SECONDS = 0.5
RETIRE_SECONDS = 600
HUNG_AFTER = 5.0
"""Seconds that a look gets beyond its own deadline before nobody waits for it any longer."""

log = structlog.get_logger()


@dataclass
class Flight:
    """A look under way; whoever `ends` it first records what came of it."""

    probe: Probe
    started: float = field(default_factory=time.monotonic)
    thread: threading.Thread | None = None
    _ended: threading.Lock = field(default_factory=threading.Lock)

    def ends(self) -> bool:
        return self._ended.acquire(blocking=False)

    @property
    def is_late(self) -> bool:
        return time.monotonic() > self.started + self.probe.seconds + HUNG_AFTER

    @property
    def lives(self) -> bool:
        return self.thread is not None and self.thread.is_alive()


def chores(settings: Settings, engine: Engine) -> list[Chore]:
    """What a worker does beside its runs; a probe that cannot be read keeps no repair waiting."""
    try:
        probes = probes_in(settings.policy_directories)
    except PolicyError as error:
        log.critical("nobody looks at the probes", why=safe_text(error))
        return []
    work = Prober(Site.of(engine), engine.keyring, probes.values())
    return [Chore("probes", work.begin_due, TICK_SECONDS)]


class Prober:
    """Begins what is due whenever it is asked to; itself it waits for no target."""

    def __init__(self, site: Site, keyring: Keyring, probes: Iterable[Probe]) -> None:
        self._site = site
        self._keyring = keyring
        self._probes = list(probes)
        self._flights: dict[str, Flight] = {}
        self._due: dict[str, float] = {}
        self._retires = 0.0

    def begin_due(self) -> None:
        """Start the looks whose time has come, and give up those that hang."""
        if time.monotonic() >= self._retires:
            self._retires = time.monotonic() + RETIRE_SECONDS
            recording.retire(self._site.database)
        for probe in self._probes:
            flight = self._flights.get(probe.name)
            if flight is not None and flight.lives and flight.is_late and flight.ends():
                self._tell_hung(probe)
            if time.monotonic() >= self._due.get(probe.name, 0.0):
                self._begin(probe)

    def _begin(self, probe: Probe) -> None:
        wait = claiming.claim(self._site.database, probe, looking.place_of(probe, self._site))
        self._due[probe.name] = time.monotonic() + (wait or probe.every.delta.total_seconds())
        if wait:
            return
        flight = self._flights.get(probe.name)
        if flight is not None and flight.lives:
            self._tell_hung(probe)
            return
        flight = Flight(probe)
        flight.thread = threading.Thread(
            target=self._fly, args=(flight,), name=f"probe {probe.name}", daemon=True
        )
        self._flights[probe.name] = flight
        flight.thread.start()

    def _fly(self, flight: Flight) -> None:
        looked = looking.look(self._site, flight.probe, spread=flight.probe.seconds / 2)
        if flight.ends():
            self._record(flight.probe, looked, time.monotonic() - flight.started)

    def _tell_hung(self, probe: Probe) -> None:
        says = f"it gave no answer within {probe.seconds:g} s, and does not end"
        self._record(probe, looking.silent(probe, says), probe.seconds)

    def _record(self, probe: Probe, looked: Looked, seconds: float) -> None:
        place = looking.place_of(probe, self._site)
        try:
            recording.record(
                self._site.database, self._keyring, probe, place, looked, round(1000 * seconds)
            )
        except TendError as error:  # the next look is recorded again
            log.warning("look not recorded", probe=probe.name, why=safe_text(error))
