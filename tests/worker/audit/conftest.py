import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient

from demo.servers import Mongo
from tests.worker.audit.history import engine_for, make_history
from tests.worker.audit.keeping import sequence
from worker.database import Database


@pytest.fixture(scope="session")
def recorded(
    mongo_server: Mongo,
    mongo_admin: MongoClient[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Path]:
    """A SQLite control database with a real history; copy it before changing it."""
    folder = tmp_path_factory.mktemp("history")
    name = "test_history"
    with engine_for(
        f"sqlite:///{folder / 'control.sqlite'}", mongo_server.url(name, "tend"), folder
    ) as engine:
        make_history(engine, mongo_admin[name])
        sequence(engine.database)
    yield folder / "control.sqlite"
    mongo_admin.drop_database(name)


@pytest.fixture
def control(recorded: Path, tmp_path: Path) -> Iterator[Database]:
    """A copy of the history, to be tampered with."""
    copy = tmp_path / "control.sqlite"
    shutil.copy(recorded, copy)
    database = Database(f"sqlite:///{copy}")
    yield database
    database.close()
