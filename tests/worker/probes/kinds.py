"""A kind of probe that does what a test tells it to."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import ClassVar

from jobs.probing import Look, ProbeContext, Reading
from policies.probes import Check, Probe, ProbeOptions, Severity


class ToldOptions(ProbeOptions):
    """Two checks of any subject."""

    CHECKS: ClassVar[Mapping[str, Check]] = {
        **ProbeOptions.CHECKS,
        "heat": Check(Severity.P2, "C", "It is hot.", "Open a window."),
        "noise": Check(Severity.P3, "dB", "It is loud.", "Close it again."),
    }


def nothing(_: ProbeContext) -> Look:
    return Look(())


@dataclass
class Told:
    """Looks as it is told, and counts how often."""

    name: ClassVar[str] = "told"
    Options: ClassVar[type[ProbeOptions]] = ToldOptions
    each_host: ClassVar[bool] = False
    does: Callable[[ProbeContext], Look] = nothing
    looks: list[str] = field(default_factory=list)
    lock: threading.Lock = field(default_factory=threading.Lock)

    def look(self, ctx: ProbeContext, probe: Probe) -> Look:
        with self.lock:
            self.looks.append(probe.name)
        return self.does(ctx)


def read(**ill: bool | None) -> Look:
    """A look at the heat of these subjects."""
    return Look([Reading(name, "heat", is_ill, value=20.0) for name, is_ill in ill.items()])
