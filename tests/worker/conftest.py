"""The engine of a test: real control database, real MongoDB, a real archive folder."""

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pymongo.database import Database as MongoDatabase
from sqlalchemy import make_url

from tests.worker.lasting import scenario_of
from tests.worker.scenario import Scenario
from worker.database import Database
from worker.keys import Keyring
from worker.targets.mongo import MongoTarget


@pytest.fixture
def control(database_url: str, migrated_sqlite: Path) -> Iterator[Database]:
    """A migrated control database with nothing in it."""
    database = Database(database_url)
    if database.dialect == "sqlite":  # a module may name a file that is not there yet
        shutil.copyfile(migrated_sqlite, str(make_url(database_url).database))
    yield database
    database.close()


@pytest.fixture
def keyring() -> Keyring:
    return Keyring(Fernet.generate_key().decode())


@pytest.fixture
def scenario(
    control: Database,
    keyring: Keyring,
    mongo_database: MongoDatabase[dict[str, Any]],
    mongo_target: MongoTarget,
    tmp_path: Path,
) -> Scenario:
    return scenario_of(control, keyring, mongo_database, mongo_target, tmp_path)
