"""The engine of a test: real control database, real MongoDB, a real archive folder."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr
from pymongo.database import Database as MongoDatabase

from tests.worker.scenario import Clock, Scenario, inline_engine
from worker.database import Database
from worker.keys import Keyring
from worker.settings import Settings
from worker.tables import Table
from worker.targets.mongo import MongoTarget

INDEXES = {
    "salesData": ("createdAt", "quantity", "revenue", "date"),
    "sessions": ("expiresAt", "isActive"),
}


@pytest.fixture
def control(database_url: str) -> Iterator[Database]:
    """An empty control database of the models' own making; migrations have tests of their own."""
    database = Database(database_url)
    Table.metadata.create_all(database.engine)
    yield database
    database.close()


@pytest.fixture
def keyring() -> Keyring:
    return Keyring.from_settings(Settings(keys=SecretStr(Fernet.generate_key().decode())))


@pytest.fixture
def scenario(
    control: Database,
    keyring: Keyring,
    mongo_database: MongoDatabase[dict[str, Any]],
    mongo_url: str,
    mongo_read_url: str,
    tmp_path: Path,
) -> Iterator[Scenario]:
    """Plans are read by a user that cannot write, as in production."""
    for collection, names in INDEXES.items():
        for name in names:
            mongo_database[collection].create_index(name)
    target = MongoTarget(mongo_url, mongo_read_url)
    clock = Clock()
    engine = inline_engine(control, {"mongo": target}, keyring, tmp_path, clock)
    yield Scenario(engine, mongo_database, clock)
    target.close()
