"""A period with a bit of everything in it, and its bundle."""

import subprocess
import sys
import zipfile
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import select

from tests.worker.evidence.manifested import ADA, sales
from tests.worker.scenario import ANOTHER, TESTER, Scenario, purge
from worker import holding, operations
from worker.audit.checkpoints import head_of
from worker.audit.sequencer import Sequencer
from worker.audit.signing import Signer
from worker.evidence import bundle
from worker.evidence.bundle import Wanted
from worker.evidence.sample import Sample
from worker.tables import Checkpoint

SIGNER = Signer.of("test", b64encode(bytes(range(32))).decode())
REFUSING = {"guards": {"max_records": 1, "max_percent": 100}, "name": "careful"}


def happen(scenario: Scenario) -> None:
    """A purge that was enabled and undone, one that was refused, a hold, and a second text."""
    db = scenario.engine.database
    sales(scenario, ada=12, bob=8)
    operations.enable(db, purge(), ANOTHER)
    run = scenario.run_through(purge())
    scenario.advance(run.id)
    scenario.advance(scenario.undo(run).id)
    scenario.run_through(purge(**REFUSING))
    holding.add(db, "test", "case-7", ("userId", str(ADA)), TESTER, anticipatory=True)
    operations.enable(db, purge(chunk=30), ANOTHER)
    sequence(scenario)


def sequence(scenario: Scenario) -> None:
    """A checkpoint over everything, as if the last one had been signed a while ago."""
    with scenario.engine.database.transaction() as session:
        for checkpoint in session.scalars(select(Checkpoint)):
            checkpoint.at -= timedelta(minutes=1)
            text = head_of(checkpoint).text
            checkpoint.note = SIGNER.sign(text, checkpoint.origin)
    Sequencer(scenario.engine.database, SIGNER).sequence()


def wanted(policy: str | None = None, sample: Sample | None = None) -> Wanted:
    """The last hour, on the control database's clock."""
    now = datetime.now(UTC)
    return Wanted("test", now - timedelta(hours=1), now, policy, sample)


def written(scenario: Scenario, folder: Path, **parts: object) -> Path:
    path = folder / "evidence.zip"
    bundle.write(scenario.engine.database, SIGNER, wanted(**parts), path)  # type: ignore[arg-type] # the two of `wanted`
    return path


def unpacked(path: Path) -> Path:
    folder = path.with_suffix("")
    with zipfile.ZipFile(path) as packed:
        packed.extractall(folder)
    return folder


def checked(place: Path, *words: str) -> tuple[int, str]:
    """What a bare Python says, with nothing installed and no environment."""
    verifier = place / "verify.py" if place.is_dir() else place.with_suffix("") / "verify.py"
    command = [sys.executable, "-I", "-S", str(verifier), str(place), *words]
    ended = subprocess.run(
        command, capture_output=True, text=True, check=False, env={}, timeout=120
    )
    assert not ended.stderr, ended.stderr
    return ended.returncode, ended.stdout
