import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.worker.evidence.bundles import happen
from tests.worker.lasting import lasting_scenario
from tests.worker.scenario import Scenario
from worker.database import Database


@pytest.fixture(scope="session")
def recorded(request: pytest.FixtureRequest) -> Iterator[Scenario]:
    """What `happen` leaves behind; copy its control database before changing it."""
    with lasting_scenario(request) as scenario:
        happen(scenario)
        scenario.engine.database.close()
        yield scenario


@pytest.fixture
def happened(recorded: Scenario, tmp_path: Path) -> Iterator[Scenario]:
    """A control database of one's own, in which it all has happened."""
    copy = tmp_path / "control.sqlite"
    shutil.copy(str(recorded.engine.database.engine.url.database), copy)
    database = Database(f"sqlite:///{copy}")
    yield replace(recorded, engine=replace(recorded.engine, database=database))
    database.close()
