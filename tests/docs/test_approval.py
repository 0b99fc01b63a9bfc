"""`docs/approval.md`: its people type what it shows, and see what it says."""

import re

import pytest
from cryptography.fernet import Fernet

from tests.docs.consoles import People, is_shown, said
from tests.docs.pages import PAGES, blocks, section
from tests.worker.audit import keeping
from tests.worker.cli.conftest import Tend, ago, bare, logging_as_it_was, tend, unmigrated
from worker.anomaly import usual

__all__ = ["bare", "logging_as_it_was", "tend", "unmigrated"]
PAGE = PAGES["docs/approval.md"]
GUARDS = "guards: {max_records: 40, max_percent: 100}\n"


@pytest.fixture
def shop(tend: Tend) -> Tend:
    tend.setting("TEND_ENV", "production")
    tend.setting("TEND_LOG", "console")
    tend.setting("TEND_KEYS", Fernet.generate_key().decode())
    tend.setting("TEND_AUDIT_KEYS", keeping.KEY)
    (policy,) = blocks(PAGE, "yaml")
    (tend.overlay / "sales-retention.yaml").write_text(policy + GUARDS)
    tend.shop.salesData.insert_one({"createdAt": ago(1)})
    return tend


def test_what_its_people_type_does_what_it_says(shop: Tend) -> None:
    people = People(shop)
    typed = 0
    for name, line, expected in said(PAGE):
        if "tend run" in line:
            shop.shop.salesData.delete_many({"createdAt": {"$lt": ago(2000)}})
            shop.old_sales(60 if "arrears" in line else 30)
        shown = people.type(name, line)
        assert is_shown(expected, shown), (name, line, expected, shown)
        typed += 1
    assert typed == 17
    assert shop.shop.salesData.count_documents({}) == 1


def test_the_worked_numbers_are_those_of_the_rule() -> None:
    rows = re.findall(
        r"^\| ([\d, ]+) \| ([\d,]+) \| ([\d,]+) \|$",
        section(PAGE, "Far more than usual"),
        re.MULTILINE,
    )
    assert len(rows) == 3
    for past, max_records, largest_usual in rows:
        sizes = [_number(size) for size in past.split()]
        assert len(sizes) == 10
        assert usual(sizes, _number(max_records)) == _number(largest_usual)


def _number(text: str) -> int:
    return int(text.replace(",", ""))
