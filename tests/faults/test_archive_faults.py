"""The archive cannot be written or was altered: then nothing is changed, and a person is told."""

import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.faults import sales
from tests.faults.invariants import assert_nothing_lost_or_done_twice
from tests.faults.sales import look, waits_for, worked_off
from tests.worker.scenario import TESTER, Scenario, purge
from worker import operations
from worker.audit.verify import verify

pytestmark = pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
RECORDS = 40
POLICY = purge(batch={"records": 10}, chunk=RECORDS)


@pytest.fixture
def archive(tmp_path: Path) -> Path:
    """Where the scenario's engine archives; nothing is there yet."""
    return tmp_path / "archive"


@pytest.fixture
def run_id(scenario: Scenario) -> int:
    sales.load(scenario, RECORDS)
    return sales.planned(scenario, POLICY)


def assert_exact(scenario: Scenario, run_id: int) -> None:
    assert sales.removed(scenario, RECORDS) == set(range(RECORDS))
    assert_nothing_lost_or_done_twice(scenario, run_id, set(range(RECORDS)))
    assert verify(scenario.engine.database).findings == []


def test_without_its_archive_a_run_changes_nothing_says_why_and_finishes_when_it_is_back(
    scenario: Scenario, run_id: int, archive: Path
) -> None:
    before = scenario.contents("salesData")
    archive.write_text("not a folder")
    assert look(scenario, run_id).state == "applying"
    assert scenario.contents("salesData") == before
    reason = "The archive cannot be written (Not a directory); nothing was changed."
    assert reason in waits_for(scenario, run_id)
    archive.unlink()
    assert worked_off(scenario, run_id).state == "succeeded"
    assert_exact(scenario, run_id)


@pytest.fixture
def small_disk(archive: Path) -> Iterator[Path]:
    """The archive on a disk of its own that two pages fill."""
    archive.mkdir()
    options = ["-t", "tmpfs", "-o", f"size={2 * os.sysconf('SC_PAGE_SIZE')}", "tmpfs"]
    if subprocess.run(["mount", *options, archive], capture_output=True, check=False).returncode:  # noqa: S607 - wherever it is
        pytest.skip("mounting a small disk takes the rights of root")
    yield archive
    subprocess.run(["umount", archive], check=True)  # noqa: S607 - the same


def test_an_archive_that_fills_up_stops_the_run_between_batches(
    scenario: Scenario, run_id: int, small_disk: Path
) -> None:
    assert look(scenario, run_id).state == "applying"
    (chunk,) = scenario.chunks(run_id)
    assert len(sales.removed(scenario, RECORDS)) == chunk.changed == 20
    assert "(No space left on device); nothing was changed" in waits_for(scenario, run_id)
    subprocess.run(["mount", "-o", "remount,size=1m", small_disk], check=True)  # noqa: S607 - wherever it is
    assert worked_off(scenario, run_id).state == "succeeded"
    assert_exact(scenario, run_id)


DAMAGE: dict[str, tuple[Callable[[Path], object], str]] = {
    "altered": (lambda o: o.write_bytes(o.read_bytes()[:-1] + b"?"), "was altered"),
    "cut short": (lambda o: o.write_bytes(o.read_bytes()[:-1]), "was altered"),
    "gone": (lambda o: o.unlink(), "is missing"),
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_damaged_archive_fails_an_undo_at_once_until_its_original_is_back(
    scenario: Scenario, run_id: int, archive: Path, damage: str
) -> None:
    before = scenario.contents("salesData")
    worked_off(scenario, run_id)
    after = scenario.contents("salesData")
    (chunk,) = scenario.chunks(run_id)
    latest = archive / chunk.archives[-1]["name"]  # an undo begins with it
    original = latest.read_bytes()
    do, sentence = DAMAGE[damage]
    do(latest)
    operations.undo(scenario.engine.database, run_id, TESTER, inline=False)
    run = look(scenario, run_id)
    assert (run.state, run.phase) == ("failed", "undo")
    assert run.error is not None
    assert f"Archive object {chunk.archives[-1]['name']} {sentence}" in run.error
    assert "bring its original back from a copy of the archive store" in run.error
    assert scenario.contents("salesData") == after
    latest.write_bytes(original)
    assert scenario.resume(run).state == "undone"
    assert scenario.contents("salesData") == before
    assert verify(scenario.engine.database).findings == []


AWAY: dict[str, Callable[[Path], object]] = {
    "not there": lambda _place: None,
    "an empty mount point": lambda place: place.mkdir(),
    "no folder": lambda place: place.write_text("not a folder"),
}


@pytest.mark.parametrize("away", AWAY)
def test_an_undo_waits_for_a_store_that_is_out_of_reach(
    scenario: Scenario, run_id: int, archive: Path, away: str
) -> None:
    before = scenario.contents("salesData")
    worked_off(scenario, run_id)
    elsewhere = archive.rename(archive.with_name("elsewhere"))
    AWAY[away](archive)
    operations.undo(scenario.engine.database, run_id, TESTER, inline=False)
    assert look(scenario, run_id).state == "undoing"
    assert "cannot be read; check TEND_ARCHIVE_URL" in waits_for(scenario, run_id)
    if archive.is_dir():
        archive.rmdir()
    archive.unlink(missing_ok=True)
    elsewhere.rename(archive)
    assert worked_off(scenario, run_id).state == "undone"
    assert scenario.contents("salesData") == before
