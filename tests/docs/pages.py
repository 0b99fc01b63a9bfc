"""The pages, and what stands in them: fenced blocks, code spans, links."""

import re
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGES = {
    str(path.relative_to(ROOT)): path.read_text()
    for path in [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CHANGELOG.md"]
}
_FENCE = re.compile(r"^```(\w*)\n(.*?)^```$", re.DOTALL | re.MULTILINE)


def blocks(text: str, language: str | None = None) -> list[str]:
    """The fenced blocks, or those of one language."""
    return [body for kind, body in _FENCE.findall(text) if language in {None, kind}]


def prose(text: str) -> str:
    """The text without its fenced blocks."""
    return _FENCE.sub("", text)


def spans(text: str) -> Iterator[str]:
    """Every code span outside of blocks, on one line."""
    for span in re.findall(r"`([^`]+)`", prose(text)):
        yield " ".join(span.split())


def section(text: str, title: str) -> str:
    """What stands below a heading of the second level."""
    return text.partition(f"\n## {title}\n")[2].partition("\n## ")[0]


def first_cells(text: str) -> list[str]:
    """The first cell of every row of the first table, its heading not included."""
    rows = re.findall(r"^\| (.*?) \|", text, re.MULTILINE)
    return rows[1:]
