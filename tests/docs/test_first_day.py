"""`docs/first-day.md` is executed, from a trial that cannot write to an enabled policy."""

import json
import os
import re

import pytest
from cryptography.fernet import Fernet

from tests.docs.consoles import People, is_shown, said
from tests.docs.pages import PAGES, blocks
from tests.worker.audit import keeping
from tests.worker.cli.conftest import SHIPPED, Tend, ago, logging_as_it_was, unmigrated

__all__ = ["logging_as_it_was", "unmigrated"]
PAGE = PAGES["docs/first-day.md"]
OLD, YOUNG = 900, 9_100


@pytest.fixture
def shop(unmigrated: Tend) -> Tend:
    """Years of sales without an index, the policies as they are shipped, and a user who reads."""
    for name, value in {
        "TEND_ENV": "production",
        "TEND_LOG": "console",
        "TEND_KEYS": Fernet.generate_key().decode(),
        "TEND_AUDIT_KEYS": keeping.KEY,
        "TEND_POLICY_DIR": str(SHIPPED),
    }.items():
        unmigrated.setting(name, value)
    for overlay in unmigrated.overlay.glob("*.yaml"):
        overlay.unlink()
    unmigrated.old_sales(OLD)
    unmigrated.shop.salesData.insert_many([{"createdAt": ago(1)} for _ in range(YOUNG)])
    return unmigrated


def test_the_first_day_goes_as_the_page_says(shop: Tend) -> None:
    working = os.environ["TEND_MONGO_URL"]
    shop.setting("TEND_MONGO_URL", os.environ["TEND_MONGO_READ_URL"])
    people = People(shop)
    typed = 0
    for name, line, expected in said(PAGE):
        if line.startswith("export TEND_MONGO_URL="):
            assert shop.shop.salesData.count_documents({}) == OLD + YOUNG
            shop.setting("TEND_MONGO_URL", working)
            (overlay,) = blocks(PAGE, "yaml")
            (shop.overlay / "sales-retention.yaml").write_text(overlay)
            shop.setting("TEND_POLICY_DIR", f"{SHIPPED}{os.pathsep}{shop.overlay}")
            continue
        shown = people.type(name, line)
        assert is_shown(expected, shown), (name, line, "\n".join(shown))
        typed += 1
        if line == "tend plan sales-retention" and "has no index" in "".join(shown):
            create_as_shown(shop)
    assert typed == 22
    assert shop.shop.salesData.count_documents({}) == OLD + YOUNG - 100


def create_as_shown(shop: Tend) -> None:
    (command,) = blocks(PAGE, "js")
    index = re.fullmatch(r"db\.(\w+)\.createIndex\((\{.*\})\);\n", command)
    assert index is not None
    shop.shop[index[1]].create_index(list(json.loads(index[2]).items()))
