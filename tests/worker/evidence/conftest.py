import pytest


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """Evidence is read the same from either; what is written differently has tests on both."""
    return sqlite_url
