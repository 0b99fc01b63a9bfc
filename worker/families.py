"""Job families by their place: what a package in `jobs` may bring beside its job.

`tables.py` is its state in the control database, `commands.py` its commands, `routes.py` the same
over HTTP, `pages.py` the same in a browser, and `signals.py` what it measures there. A command must
be listed without its drivers, so its name and line are read from the first line of the docstring:
`tend lockout`: what it is for.
"""

import ast
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any, NamedTuple

from policies.errors import TendError

_LISTED = re.compile(r"`tend ([a-z]+)`: (.+)")


class Family(NamedTuple):
    """The command of a family: its word, its line in the help, and the module it is in."""

    word: str
    does: str
    module: str


def import_tables() -> None:
    """Make the tables of every family known to the metadata they share."""
    for module, _ in _files("tables"):
        import_module(module)


def commands() -> Iterator[Family]:
    """The commands that families bring."""
    for module, path in _files("commands"):
        said = ast.get_docstring(ast.parse(path.read_text(encoding="utf-8"))) or ""
        listed = _LISTED.match(said)
        if listed is None:
            raise TendError(f"{module} must begin with a docstring like `tend word`: what it does.")
        yield Family(listed[1], listed[2], module)


def measures() -> Iterator[Any]:
    """Of each family that has metrics of its own, what reads its measurements in a session."""
    for module, _ in _files("signals"):
        yield import_module(module).measure


def asks() -> Iterator[Any]:
    """Of each family that measures something in Redis, what asks for it there."""
    for module, _ in _files("signals"):
        asked = getattr(import_module(module), "ask", None)
        if asked is not None:
            yield asked


def routes() -> Iterator[str]:
    """The modules with which families answer over HTTP."""
    for module, _ in _files("routes"):
        yield module


def pages() -> Iterator[tuple[str, Path]]:
    """The modules with which families answer a browser, and the folder of each one's templates."""
    for module, path in _files("pages"):
        yield module, path.with_name("templates")


def family_in(module: str) -> str:
    """The family that a module of `jobs` belongs to."""
    return module.split(".")[1]


def _files(name: str) -> Iterator[tuple[str, Path]]:
    spec = find_spec("jobs")
    for place in (spec and spec.submodule_search_locations) or ():
        for module in pkgutil.iter_modules([place]):
            path = Path(place) / module.name / f"{name}.py"
            if module.ispkg and path.is_file():
                yield f"jobs.{module.name}.{name}", path
