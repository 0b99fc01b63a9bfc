"""YAML read so that every value still knows the file and the line it stands on."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml

from policies.errors import PolicyError


@dataclass(frozen=True)
class Located:
    """A mapping or a list of located values, or a plain value; `line` is that of its key."""

    file: str
    line: int
    value: Any

    @property
    def where(self) -> str:
        return f"{self.file}:{self.line}"

    @property
    def plain(self) -> Any:
        if isinstance(self.value, dict):
            return {key: entry.plain for key, entry in self.value.items()}
        if isinstance(self.value, list):
            return [entry.plain for entry in self.value]
        return self.value

    def child(self, key: str | int) -> "Located | None":
        if isinstance(self.value, dict):
            return self.value.get(key)
        if isinstance(self.value, list) and isinstance(key, int) and key < len(self.value):
            found: Located = self.value[key]
            return found
        return None

    def nearest(self, keys: Sequence[str | int]) -> "tuple[tuple[str | int, ...], Located]":
        """Follow `keys` as far as they lead, stepping over those that name no entry."""
        followed: list[str | int] = []
        found = self
        for key in keys:
            child = found.child(key)
            if child is not None:
                followed.append(key)
                found = child
        return tuple(followed), found

    def under(self, overlay: "Located") -> "Located":
        """What the two say together: mappings merge, everything else is the overlay's."""
        if not (isinstance(self.value, dict) and isinstance(overlay.value, dict)):
            return overlay
        merged = dict(self.value)
        for key, entry in overlay.value.items():
            merged[key] = merged[key].under(entry) if key in merged else entry
        return Located(overlay.file, overlay.line, merged)


def read(path: Path) -> Located:
    """Read one file whose top is a mapping."""
    try:
        text = path.read_text("utf-8-sig")
    except OSError as error:
        raise PolicyError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise PolicyError(f"{path}: is not UTF-8 text") from error
    return _parsed(str(path), text)


@lru_cache(maxsize=256)
def _parsed(path: str, text: str) -> Located:
    """Whoever reads policies again and again mostly reads the same text: parsing is slow."""
    try:
        node = yaml.compose(text, Loader=_Loader)
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise PolicyError(f"{path}:{line}: not YAML: {error.reason}") from error
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyError(f"{path}:{line}: not YAML: {_explained(error)}") from error
    if not isinstance(node, yaml.MappingNode):
        raise PolicyError(f"{path}:1: write a mapping of keys, beginning with name")
    return _Reader(path).located(node, 1, "")


class _Loader(yaml.SafeLoader):
    """YAML without aliases: in a policy, an asterisk nearly always begins a cron line."""

    def compose_node(self, parent: yaml.Node | None, index: int) -> yaml.Node | None:
        if self.check_event(yaml.AliasEvent):
            mark = self.peek_event().start_mark  # type: ignore[no-untyped-call] # so are its stubs
            raise yaml.MarkedYAMLError("while scanning an alias", None, "none is known", mark)
        return super().compose_node(parent, index)


def _explained(error: yaml.MarkedYAMLError) -> str:
    says = ", ".join(part for part in (error.context, error.problem) if part)
    if "scanning an alias" in says or "cannot start any token" in says:
        return f"{says}; put a value that begins with such a character in quotes"
    return says


@dataclass(frozen=True)
class _Reader:
    file: str

    def located(self, node: yaml.Node, line: int, key: str) -> Located:
        if isinstance(node, yaml.MappingNode) and node.tag.endswith(":map"):
            return Located(self.file, line, self._entries(node, key))
        if isinstance(node, yaml.SequenceNode) and node.tag.endswith(":seq"):
            return Located(
                self.file,
                line,
                [
                    self.located(part, part.start_mark.line + 1, f"{key}.{place}")
                    for place, part in enumerate(node.value)
                ],
            )
        if isinstance(node, yaml.ScalarNode):
            try:
                return Located(self.file, line, _scalar(node))
            except ValueError as error:
                raise PolicyError(f"{self.file}:{line}: {key}: {error}") from error
        raise PolicyError(f"{self.file}:{line}: {key}: the tag {node.tag} is not understood")

    def _entries(self, node: yaml.MappingNode, parent: str) -> dict[str, Located]:
        entries: dict[str, Located] = {}
        for name, value in node.value:
            line = name.start_mark.line + 1
            if not isinstance(name, yaml.ScalarNode) or not name.tag.endswith(":str"):
                spelt = name.value if isinstance(name, yaml.ScalarNode) else "this"
                owner = f"{parent}: " if parent else ""
                raise PolicyError(
                    f"{self.file}:{line}: {owner}'{spelt}' is no key; a key is text, in quotes "
                    "if YAML reads it as something else"
                )
            key = f"{parent}.{name.value}" if parent else name.value
            if name.value in entries:
                raise PolicyError(
                    f"{self.file}:{line}: {key}: given a second time, "
                    f"first on line {entries[name.value].line}"
                )
            entries[name.value] = self.located(value, line, key)
        return entries


def _scalar(node: yaml.ScalarNode) -> str | int | float | bool | None:
    """Read a plain value in its one plain spelling: YAML 1.1 has others that surprise."""
    raw: str = node.value
    match node.tag.rpartition(":")[2]:
        case "str":
            return raw
        case "null":
            return None
        case "bool" if raw.lower() in {"true", "false"}:
            return raw.lower() == "true"
        case "bool":
            raise ValueError(f"YAML reads {raw} as true or false; write that, or '{raw}' in quotes")
        case "int" if re.fullmatch(r"[-+]?(0|[1-9][0-9_]*)", raw):
            return int(raw)
        case "float" if re.fullmatch(r"[-+]?[0-9_]*\.[0-9_]*([eE][-+][0-9]+)?", raw):
            return float(raw)
        case "int" | "float":
            raise ValueError(
                f"YAML reads {raw} as another number; write it in decimal, or '{raw}' in quotes"
            )
        case "timestamp":
            raise ValueError(f"YAML reads {raw} as a date; write '{raw}' in quotes")
        case _:
            raise ValueError(f"the tag {node.tag} is not understood")
