"""The `tend` commands that the pages show."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from tests.docs.pages import blocks, spans
from worker.cli import COMMANDS, loaded

# At the start of a line, after a prompt, in a Procfile or in a unit.
_LINE = re.compile(r"^(?:\$ |\w+: |ExecStart=)?(?:\S*/)?tend( .*)?$", re.MULTILINE)
_SPAN = re.compile(r"(?:\S*/)?tend( .*)?")


@dataclass(frozen=True)
class Shown:
    """A command on a page, its words after `tend`."""

    page: str
    words: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.page}: tend {' '.join(self.words)}"


def typed(page: str, text: str) -> Iterator[Shown]:
    """Commands in blocks, which a person may type as they stand."""
    for block in blocks(text):
        for rest in _LINE.findall(block):
            yield Shown(page, tuple(shlex.split(rest, comments=True)))


def named(page: str, text: str) -> Iterator[Shown]:
    """Commands in running text, which may leave words out."""
    for span in spans(text):
        match = _SPAN.fullmatch(span)
        if match is not None:
            yield Shown(page, tuple((match[1] or "").split()))


def resolved(words: tuple[str, ...]) -> tuple[Any, tuple[str, ...]]:
    """The command that the first words name, and the words that follow them."""
    assert words[0] in COMMANDS, f"there is no command {words[0]}"
    command, rest = loaded(words[0]), words[1:]
    inner = getattr(command, "commands", {})
    while rest and rest[0] in inner:
        command, rest = inner[rest[0]], rest[1:]
        inner = getattr(command, "commands", {})
    assert not inner or not rest or rest[0].startswith(("-", "…")), f"no sub-command {rest[0]}"
    return command, rest


def options(command: Any) -> set[str]:
    return {word for parameter in command.params for word in parameter.opts} | {"--help"}
