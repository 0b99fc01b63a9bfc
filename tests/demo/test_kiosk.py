"""The demonstration's SQL shop holds what its policies are after, and its queries find it."""

import sqlite3
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path

import pytest

from demo import kiosk

NOW = datetime(2026, 7, 15, 12, tzinfo=UTC)


@pytest.fixture
def shop(tmp_path: Path) -> Path:
    path = tmp_path / "kiosks.sqlite"
    kiosk.make(path, NOW)
    return path


@pytest.mark.parametrize("policy", kiosk.QUERIES)
def test_one_product_in_fifty_has_each_damage(shop: Path, policy: str) -> None:
    assert kiosk.find(shop, policy) == kiosk.PRODUCTS // kiosk.DAMAGED


def test_no_product_has_both(shop: Path) -> None:
    with closing(sqlite3.connect(shop)) as opened:
        query = "SELECT count(*) FROM products WHERE stock < 0 AND store_id > ?"
        assert opened.execute(query, [kiosk.STORES]).fetchone() == (0,)
