"""The site of a probe under test."""

import pytest

from tests.worker.conftest import control, keyring, sqlite_template
from tests.worker.probes.conftest import watch

__all__ = ["control", "keyring", "sqlite_template", "watch"]


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    return sqlite_url
