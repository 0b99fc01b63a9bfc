"""The site of a probe under test."""

import pytest

from tests.worker.conftest import control, keyring
from tests.worker.probes.conftest import watch

__all__ = ["control", "keyring", "watch"]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url
