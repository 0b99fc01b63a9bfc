"""`docs/approval.md`: its people type what it shows, and see what it says."""

import re
from collections.abc import Iterator

import pytest
from cryptography.fernet import Fernet

from tests.docs.pages import PAGES, blocks, section
from tests.worker.cli.conftest import Tend, ago, bare, logging_as_it_was, tend, unmigrated
from worker.anomaly import usual

__all__ = ["bare", "logging_as_it_was", "tend", "unmigrated"]
PAGE = PAGES["docs/approval.md"]
GUARDS = "guards: {max_records: 40, max_percent: 100}\n"
GAP = "…"


class People:
    """Each at an account of their own, with the token that they exported."""

    def __init__(self, tend: Tend) -> None:
        self._tend = tend
        self._made: dict[str, str] = {}
        self._own: dict[str, str] = {}

    def type(self, name: str, line: str) -> list[str]:
        """What this person sees."""
        if line.startswith("export TEND_TOKEN="):
            self._own[name] = self._made[line.partition("=")[2].removesuffix(GAP)]
            return []
        self._tend.setting("LOGNAME", name)
        self._tend.setting("TEND_TOKEN", self._own.get(name, ""))
        ended = self._tend(*_words(line))
        assert "Traceback" not in ended.err
        shown = (ended.out + ended.err).splitlines()
        for token in re.findall(r"^tend_\d+_[0-9a-f]+$", ended.out, re.MULTILINE):
            self._made[token[: token.rindex("_") + 1]] = token
        return shown


def _words(line: str) -> list[str]:
    return [a or b for a, b in re.findall(r'"([^"]*)"|(\S+)', line)][1:]


def _said() -> Iterator[tuple[str, str, list[str]]]:
    """Who types what, and the lines that the page shows below it."""
    for block in blocks(PAGE, "console"):
        for name, line, answer in re.findall(
            r"^(\w+)\$ (.*)\n((?:(?!\w+\$ ).*\n)*)", block, re.MULTILINE
        ):
            yield name, line, answer.splitlines()


def _is_shown(expected: list[str], shown: list[str]) -> bool:
    """Whether these lines were printed, in this order; a gap stands for any lines, or letters."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == GAP else _pattern(line) + r" *\n" for line in expected
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in shown)) is not None


def _pattern(line: str) -> str:
    parts = (re.escape(part) for part in line.split(GAP))
    return r".*".join(re.sub(r"(\\ ){2,}", r"\\s{2,}", part) for part in parts)


@pytest.fixture
def shop(tend: Tend) -> Tend:
    tend.setting("TEND_ENV", "production")
    tend.setting("TEND_LOG", "console")
    tend.setting("TEND_KEYS", Fernet.generate_key().decode())
    (policy,) = blocks(PAGE, "yaml")
    (tend.overlay / "sales-retention.yaml").write_text(policy + GUARDS)
    tend.shop.salesData.insert_one({"createdAt": ago(1)})
    return tend


def test_what_its_people_type_does_what_it_says(shop: Tend) -> None:
    people = People(shop)
    typed = 0
    for name, line, expected in _said():
        if "tend run" in line:
            shop.shop.salesData.delete_many({"createdAt": {"$lt": ago(2000)}})
            shop.old_sales(60 if "arrears" in line else 30)
        shown = people.type(name, line)
        assert _is_shown(expected, shown), (name, line, expected, shown)
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
