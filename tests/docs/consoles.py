"""What people type on a page, and whether they see what it shows."""

import re
from collections.abc import Iterator

from tests.docs.pages import blocks
from tests.worker.cli.conftest import Tend

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


def said(page: str) -> Iterator[tuple[str, str, list[str]]]:
    """Who types what, and the lines that the page shows below it."""
    for block in blocks(page, "console"):
        for name, line, answer in re.findall(
            r"^(\w+)\$ (.*)\n((?:(?!\w+\$ ).*\n)*)", block, re.MULTILINE
        ):
            yield name, line, answer.splitlines()


def is_shown(expected: list[str], shown: list[str]) -> bool:
    """Whether these lines were printed, in this order; a gap stands for any lines, or letters."""
    pattern = "".join(
        r"(?:.*\n)*?" if line == GAP else _pattern(line) + r" *\n" for line in expected
    )
    return re.fullmatch(pattern, "".join(f"{line}\n" for line in shown)) is not None


def _pattern(line: str) -> str:
    parts = (re.escape(part) for part in line.split(GAP))
    return r".*".join(re.sub(r"(\\ ){2,}", r"\\s{2,}", part) for part in parts)
