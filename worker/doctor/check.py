"""What a check is: one look at one thing, and one sentence about it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import cached_property
from typing import Literal

from worker.engine import system_clock
from worker.registry import Policies
from worker.settings import Settings

Status = Literal["ok", "warning", "failed"]

MAX_SKEW = timedelta(seconds=1)
CONNECT_SECONDS = 3
"""Drivers give up before the doctor does, for they know better what to say."""


@dataclass(frozen=True)
class Site:
    """The installation to look at."""

    settings: Settings
    clock: Callable[[], datetime] = system_clock

    @cached_property
    def policies(self) -> Policies:
        """Read once for all checks; raises `PolicyError`."""
        return Policies.load(self.settings.policy_directories)


@dataclass(frozen=True)
class Verdict:
    """How one thing is, and what to do if that is not well."""

    status: Status
    says: str


@dataclass(frozen=True)
class Check:
    """A look at one thing; `setting` names the variable to correct when nothing better is known."""

    name: str
    setting: str
    look: Callable[[Site], Verdict]


def ok(says: str) -> Verdict:
    return Verdict("ok", says)


def warning(says: str) -> Verdict:
    return Verdict("warning", says)


def failed(says: str) -> Verdict:
    return Verdict("failed", says)


def listed(things: Sequence[str]) -> str:
    """The first three, and how many more."""
    more = f" and {len(things) - 3} more" if len(things) > 3 else ""
    return ", ".join(things[:3]) + more


def compare_clocks(site: Site, whose: str, ask: Callable[[], datetime]) -> Verdict:
    """Judge a server's clock by this host's, which the server read about halfway between."""
    before = site.clock()
    theirs = ask()
    half = (site.clock() - before) / 2
    skew = theirs - (before + half)
    seconds = abs(skew.total_seconds())
    if abs(skew) <= MAX_SKEW + half:
        return ok(f"{whose} agrees with this host's to {seconds:.1f} s.")
    where = "ahead of" if skew > timedelta() else "behind"
    return warning(
        f"{whose} is {seconds:.1f} s {where} this host's: cutoffs are taken from the host's, and "
        "leases from the control database's; let both follow the same time server."
    )
