"""What the code says, read from its source: phrases, messages, and the names of its parts."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.docs.pages import ROOT

GAP = "…"


def phrases(file: str) -> set[str]:
    """The texts that the functions of a file return, with a gap for each value in them."""
    tree = ast.parse((ROOT / file).read_text())
    returned = [node.value for node in ast.walk(tree) if isinstance(node, ast.Return)]
    return {text for value in returned if (text := _text(value)) is not None}


def messages() -> list[str]:
    """Every constant text in the engine, those between the values of a message too."""
    return [
        node.value
        for path in sorted((ROOT / "worker").rglob("*.py"))
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Constant) and isinstance(node.value, str)
    ]


def names(path: Path) -> set[str]:
    """Every function, class and constant that a file defines."""
    return {name for node in ast.walk(ast.parse(path.read_text())) for name in _defined(node)}


def _text(value: ast.expr | None) -> str | None:
    match value:
        case ast.Constant(value=str(text)):
            return text
        case ast.JoinedStr(values=parts):
            return "".join(_text(part) or GAP for part in parts)
        case _:
            return None


def _defined(node: ast.AST) -> Iterator[str]:
    match node:
        case ast.FunctionDef(name=name) | ast.ClassDef(name=name):
            yield name
        case ast.Assign(targets=targets):
            yield from (target.id for target in targets if isinstance(target, ast.Name))
        case ast.AnnAssign(target=ast.Name(id=name)):
            yield name
