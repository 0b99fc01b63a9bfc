"""A bundle of a long log is written and checked without holding the log in memory."""

import subprocess
import sys
import zipfile
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.worker.audit.keeping import SIGNER, sequence, write
from worker.database import Database
from worker.evidence import bundle, verifier

FEW, MANY = 2_000, 20_000
GROWTH = 6_000_000
"""Bytes; as objects, the entries alone would take ten times as many."""
WRITE = """
import sys
from datetime import datetime, timedelta, UTC
from pathlib import Path
from tests.worker.audit.keeping import SIGNER
from worker.database import Database
from worker.evidence import bundle
from worker.evidence.sample import Sample
now = datetime.now(UTC)
wanted = bundle.Wanted("test", now - timedelta(hours=9), now, None, Sample(25, "a word"))
bundle.write(Database(sys.argv[1]), SIGNER, wanted, Path(sys.argv[2]))
"""
PEAK = """
with open("/proc/self/status") as status:
    print(next(line.split()[1] for line in status if line.startswith("VmHWM")))
"""
"""In KiB. What `getrusage` tells begins with what the process was forked from."""
CHECK = """
import runpy, sys
try:
    sys.argv = sys.argv[1:]
    runpy.run_path(sys.argv[0], run_name="__main__")
except SystemExit as ended:
    assert not ended.code
"""


@pytest.fixture
def control(migrated_sqlite_url: str) -> Iterator[Database]:
    with closing(Database(migrated_sqlite_url)) as database:
        yield database


def peak(code: str, *words: object, flags: tuple[str, ...] = ()) -> tuple[int, list[str]]:
    """What a process of its own takes at most, in bytes, and what it says."""
    command = [sys.executable, *flags, "-c", code + PEAK, *map(str, words)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=300)
    assert ended.returncode == 0, ended.stderr
    *said, last = ended.stdout.splitlines()
    return int(last) * 1024, said


@pytest.mark.system
def test_memory_does_not_grow_with_the_log(control: Database, tmp_path: Path) -> None:
    url = control.engine.url.render_as_string(hide_password=False)
    verify = Path(str(verifier.__file__))
    written, checked = [], []
    for total, more in ((FEW, FEW), (MANY, MANY - FEW)):
        write(control, more, "run_skipped")
        write(control, 1, "run_succeeded")
        sequence(control)
        path = tmp_path / f"{total}.zip"
        written.append(peak(WRITE, url, path)[0])
        used, said = peak(CHECK, verify, path, flags=("-I", "-S"))
        checked.append(used)
        assert said[-1] == "nothing is off"
    assert written[1] - written[0] < GROWTH
    assert checked[1] - checked[0] < GROWTH


def test_every_exception_is_listed_though_the_summary_shows_the_first(
    control: Database, tmp_path: Path
) -> None:
    write(control, 250, "run_skipped")
    write(control, 1, "run_succeeded")
    sequence(control)
    now, path = datetime.now(UTC), tmp_path / "evidence.zip"
    wanted = bundle.Wanted("test", now - timedelta(hours=1), now + timedelta(hours=1))
    bundle.write(control, SIGNER, wanted, path)
    packed = verifier.Bundle(path)
    assert len(packed.json("exceptions.json")["missed_fires"]) == 250
    with zipfile.ZipFile(path) as files:
        page = files.read("summary.html").decode()
    assert "Missed fires: 250" in page
    assert "50 more in exceptions.json" in page
