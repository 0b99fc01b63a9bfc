"""A scenario that outlives a test, for those that only look at what became of it."""

import shutil
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import pytest
from cryptography.fernet import Fernet
from pymongo import MongoClient
from pymongo.database import Database as MongoDatabase

from demo.servers import Mongo
from tests.mongo_databases import INDEXES, MongoDatabases
from tests.worker.scenario import Clock, Scenario, inline_engine
from worker.database import Database
from worker.keys import Keyring
from worker.targets.mongo import MongoTarget


def scenario_of(
    control: Database,
    keyring: Keyring,
    shop: MongoDatabase[dict[str, Any]],
    target: MongoTarget,
    folder: Path,
) -> Scenario:
    clock = Clock()
    return Scenario(inline_engine(control, {"mongo": target}, keyring, folder, clock), shop, clock)


@contextmanager
def lasting_scenario(request: pytest.FixtureRequest) -> Iterator[Scenario]:
    """For a fixture of any scope: the databases are its own, and its control database is SQLite."""
    server: Mongo = request.getfixturevalue("mongo_server")
    shops: MongoClient[dict[str, Any]] = request.getfixturevalue("mongo_tend")
    databases: MongoDatabases = request.getfixturevalue("mongo_databases")
    folders: pytest.TempPathFactory = request.getfixturevalue("tmp_path_factory")
    folder = folders.mktemp("scenario")
    shutil.copyfile(request.getfixturevalue("migrated_sqlite"), folder / "control.sqlite")
    keyring = Keyring(Fernet.generate_key().decode())
    with (
        databases.database(INDEXES["scenario"]) as name,
        closing(Database(f"sqlite:///{folder / 'control.sqlite'}")) as control,
        closing(MongoTarget(server.url(name, "tend"), server.url(name, "reader"))) as target,
    ):
        yield scenario_of(control, keyring, shops[name], target, folder)
