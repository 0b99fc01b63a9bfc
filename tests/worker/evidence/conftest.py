import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pymongo import MongoClient

from demo.servers import Mongo
from tests.mongo_databases import INDEXES, make_indexes
from tests.worker.evidence.bundles import happen
from tests.worker.scenario import Clock, Scenario, inline_engine
from worker.database import Database
from worker.keys import Keyring
from worker.tables import Table
from worker.targets.mongo import MongoTarget


@pytest.fixture(scope="session")
def recorded(
    mongo_server: Mongo,
    mongo_admin: MongoClient[dict[str, Any]],
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Scenario]:
    """What `happen` leaves behind; copy its control database before changing it."""
    folder, name = tmp_path_factory.mktemp("evidence"), "test_evidence"
    database = Database(f"sqlite:///{folder / 'control.sqlite'}")
    Table.metadata.create_all(database.engine)
    shop = mongo_admin[name]
    make_indexes(shop, INDEXES["scenario"])
    target = MongoTarget(mongo_server.url(name, "tend"))
    keyring = Keyring(Fernet.generate_key().decode())
    clock = Clock()
    engine = inline_engine(database, {"mongo": target}, keyring, folder, clock)
    scenario = Scenario(engine, shop, clock)
    happen(scenario)
    database.close()
    yield scenario
    target.close()
    mongo_admin.drop_database(name)


@pytest.fixture
def happened(recorded: Scenario, tmp_path: Path) -> Iterator[Scenario]:
    """A control database of one's own, in which it all has happened."""
    copy = tmp_path / "control.sqlite"
    shutil.copy(str(recorded.engine.database.engine.url.database), copy)
    database = Database(f"sqlite:///{copy}")
    yield replace(recorded, engine=replace(recorded.engine, database=database))
    database.close()
