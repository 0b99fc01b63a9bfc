"""The engine tests' scenario, on one kind of control database: the pages do not tell them apart."""

import pytest

from tests.worker.conftest import control, keyring, mongo_target, mongo_targets, scenario

__all__ = ["control", "keyring", "mongo_target", "mongo_targets", "scenario"]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url
