"""Every operation of the API, as its routes have it: method, path, and the command that it is."""

import re
from collections.abc import Iterator
from typing import NamedTuple

from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from worker.console.api import ROOMS


class Operation(NamedTuple):
    """One route of the API."""

    method: str
    path: str
    name: str
    commands: tuple[str, ...]

    def at(self, **values: str) -> str:
        """Its path below `/api/v1`, with these values in it, else the run r-1."""
        return re.sub(r"{(\w+)}", lambda match: values.get(match[1], "1"), self.path)


def operations() -> list[Operation]:
    return [
        Operation(method, route.path, route.name, tuple(_commands(route.dependant)))
        for room in ROOMS
        for route in room.routes
        if isinstance(route, APIRoute)
        for method in sorted(route.methods or ())
    ]


def _commands(dependant: Dependant) -> Iterator[str]:
    """The commands whose role the route asks for."""
    command = getattr(dependant.call, "command", None)
    if command is not None:
        yield command
    for inner in dependant.dependencies:
        yield from _commands(inner)
