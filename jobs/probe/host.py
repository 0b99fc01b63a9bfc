"""The host itself: CPU, memory, disks, open files, and its clock."""

import time
from collections.abc import Iterator, Mapping
from email.utils import parsedate_to_datetime
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, ClassVar, cast

import httpx
import psutil
from pydantic import Field, StrictInt

from jobs.probe.endpoints import Address
from jobs.probing import Look, ProbeContext, Reading
from policies.durations import Duration
from policies.probes import Check, Probe, ProbeOptions, Severity

Percent = Annotated[StrictInt, Field(ge=1, le=100)]
CPU_SECONDS = 1.0
_FILES = Path("/proc/sys/fs/file-nr")


class HostOptions(ProbeOptions):
    """Which disks, and from when on the host is full."""

    CHECKS: ClassVar[Mapping[str, Check]] = MappingProxyType(
        {
            **ProbeOptions.CHECKS,
            "cpu": Check(
                Severity.P3,
                "%",
                "The host's processors are busy all the time: everything on it is slow.",
                "Look with top for who it is; move it, or give the host more.",
            ),
            "memory": Check(
                Severity.P2,
                "%",
                "Memory is nearly used up: soon the kernel ends a process of its own choice.",
                "Look with top for who grew; restart that, and find out why.",
            ),
            "disk": Check(
                Severity.P1,
                "%",
                "A disk is nearly full: databases stop when it is.",
                "Find what grew with du -xh --max-depth=2; logs and old backups go first.",
            ),
            "open_files": Check(
                Severity.P2,
                "%",
                "Nearly all files that may be open are: the next connection is refused.",
                "Find who has them with ls /proc/*/fd; raise the limit, or mend the leak.",
            ),
            "clock": Check(
                Severity.P2,
                "s",
                "The host's clock is off: cutoffs, tokens and certificates are judged wrongly.",
                "See whether its time service runs (timedatectl); let all hosts follow the same.",
            ),
        }
    )
    cpu_percent: Percent = 95
    memory_percent: Percent = 90
    disks: tuple[str, ...] = ("/",)
    disk_percent: Percent = 85
    files_percent: Percent = 80
    clock_off: Duration = Field(default="2s", validate_default=True)
    time_from: Address | None = None


class HostProbe:
    """Every host on which a worker runs looks at itself."""

    name: ClassVar[str] = "host"
    Options: ClassVar[type[ProbeOptions]] = HostOptions
    each_host: ClassVar[bool] = True

    def look(self, ctx: ProbeContext, probe: Probe) -> Look:
        options = cast(HostOptions, probe.options)
        readings = [
            _share(ctx.host, "cpu", psutil.cpu_percent(CPU_SECONDS), options.cpu_percent),
            _share(ctx.host, "memory", psutil.virtual_memory().percent, options.memory_percent),
            *_files(ctx.host, options.files_percent),
        ]
        remarks: list[str] = []
        for disk in options.disks:
            try:
                used = psutil.disk_usage(disk).percent
            except OSError as error:
                remarks.append(f"the disk {disk} cannot be asked: {error.strerror}.")
            else:
                subject = f"{ctx.host}:{disk}"
                readings.append(_share(subject, "disk", used, options.disk_percent))
        return Look([*readings, *_clock(ctx, options)], remarks)


def _share(subject: str, check: str, percent: float, limit: int) -> Reading:
    says = f"{percent:.0f} % used, above {limit} % is too much"
    return Reading(subject, check, percent > limit, says, round(percent, 1))


def _files(host: str, limit: int) -> Iterator[Reading]:
    """The larger share of what this process may have open, and of what all together may."""
    shares = []
    process = psutil.Process()
    if hasattr(process, "rlimit"):
        most = process.rlimit(psutil.RLIMIT_NOFILE)[0]
        shares.append(100 * process.num_fds() / most if most > 0 else 0.0)
    if _FILES.exists():
        used, _, most = map(int, _FILES.read_text().split())
        shares.append(100 * used / most)
    if shares:
        yield _share(host, "open_files", max(shares), limit)


def _clock(ctx: ProbeContext, options: HostOptions) -> Iterator[Reading]:
    """Beside the control database's clock, and a web server's, whichever is further off."""
    found = [ctx.skew()]
    if options.time_from is not None:
        found.append(_beside(options.time_from))
    known = [abs(seconds) for seconds in found if seconds is not None]
    if known:
        off, limit = max(known), options.clock_off.delta.total_seconds()
        says = f"{off:.1f} s off, above {limit:g} s is too much"
        yield Reading(ctx.host, "clock", off > limit, says, round(off, 2))


def _beside(url: str) -> float | None:
    """Seconds ahead of the `Date` of an answer, which is cut to the second; None without one."""
    before = time.time()
    try:
        with httpx.stream("GET", url, timeout=10, trust_env=False) as response:
            said = response.headers.get("date")
        theirs = parsedate_to_datetime(said).timestamp() + 0.5 if said else None
    except (httpx.HTTPError, ValueError):
        return None
    return None if theirs is None else (before + time.time()) / 2 - theirs
