"""The engine tests' scenario, on one kind of control database: the pages do not tell them apart."""

import pytest

from tests.worker.conftest import control, keyring, scenario

__all__ = ["control", "keyring", "scenario"]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url
