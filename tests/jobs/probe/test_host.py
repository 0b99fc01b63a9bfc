"""A host whose disk is full, and a clock that is off."""

import ctypes
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta
from email.utils import format_datetime
from pathlib import Path
from typing import Any

import pytest

from jobs.probe import host
from policies.probes import Probe
from tests.jobs.probe.servers import endpoint
from tests.worker.probes.watch import Watch, probe
from worker.engine import system_clock

# What a busy test machine may exceed is not what these tests are about.
WIDE = {"cpu_percent": 100, "memory_percent": 100, "files_percent": 100, "disk_percent": 100}
LIBC = ctypes.CDLL(None, use_errno=True)


def asking(**options: Any) -> Probe:
    return probe("host", {**WIDE, **options}, every="5m", within="2m")


@pytest.fixture(autouse=True)
def a_short_look_at_the_processors(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(host, "CPU_SECONDS", 0.05)


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of a megabyte."""
    place = tmp_path / "small"
    place.mkdir()
    if LIBC.mount(b"none", str(place).encode(), b"tmpfs", 0, b"size=1m") != 0:
        pytest.skip(f"cannot mount here: {os.strerror(ctypes.get_errno())}")
    yield place
    assert LIBC.umount2(str(place).encode(), 0) == 0


def test_a_full_disk_is_told_once_and_cleared_once(watch: Watch, small: Path) -> None:
    wanted = asking(disks=[str(small)], disk_percent=85)
    watch.look(wanted, 2)
    assert watch.alerts == []
    (small / "log").write_bytes(bytes(950_000))
    watch.look(wanted, 3)
    cause = f"probe/under-test/disk/this-host:{small}"
    assert watch.alerts == [(cause, True)]
    (small / "log").unlink()
    watch.look(wanted, 3)
    assert watch.alerts == [(cause, False)]


def test_a_disk_that_is_not_there_is_said_and_the_others_are_asked(watch: Watch) -> None:
    readings = watch.look(asking(disks=["/", "/no/such/disk"]))
    assert [one.subject for one in readings if one.check == "disk"] == ["this-host:/"]


def test_a_clock_that_is_off_is_told_by_what_a_web_server_says(watch: Watch) -> None:
    with endpoint() as server:
        wanted = asking(time_from=server.url, clock_off="60s")
        server.headers = {"Date": format_datetime(system_clock(), usegmt=True)}
        assert watch.checks_that_are_ill(wanted) == set()
        server.headers = {"Date": format_datetime(system_clock() - timedelta(hours=1), usegmt=True)}
        assert watch.checks_that_are_ill(wanted) == {"clock"}


def test_every_host_has_troubles_of_its_own(watch: Watch) -> None:
    full = asking(memory_percent=1)
    other = replace(watch, site=replace(watch.site, host="another-host"))
    watch.look(full, 2)
    other.look(full, 2)
    assert [cause for cause, _ in watch.alerts] == [
        "probe/under-test/memory/this-host",
        "probe/under-test/memory/another-host",
    ]
    other.look(asking(), 3)
    assert watch.alerts[0][1]
    assert not watch.alerts[1][1]
