"""The engine tests' scenario, and the environment that gives other processes the same."""

from pathlib import Path

import pytest
from cryptography.fernet import Fernet
from pydantic import SecretStr

from tests.worker.audit import keeping
from tests.worker.conftest import control, scenario
from worker.keys import Keyring
from worker.settings import Settings

__all__ = ["control", "scenario"]


@pytest.fixture
def keys() -> str:
    return Fernet.generate_key().decode()


@pytest.fixture
def keyring(keys: str) -> Keyring:
    return Keyring.from_settings(Settings(keys=SecretStr(keys)))


@pytest.fixture
def environment(
    database_url: str, mongo_url: str, redis_url: str, keys: str, tmp_path: Path
) -> dict[str, str]:
    """What a worker process needs to find the servers of this test."""
    return {
        "TEND_DATABASE_URL": database_url,
        "TEND_MONGO_URL": mongo_url,
        "TEND_REDIS_URL": redis_url,
        "TEND_ARCHIVE_URL": f"file://{tmp_path}/archive",
        "TEND_KEYS": keys,
        "TEND_AUDIT_KEYS": keeping.KEY,
        "TEND_ENV": "test",
    }
