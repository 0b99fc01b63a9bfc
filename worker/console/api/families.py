"""What job families bring to the API: their own routes, on what is lent to them here."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import import_module
from typing import Any

from fastapi import APIRouter, Depends

from worker import families, operations
from worker.console.asking import Here, allowed
from worker.console.installation import Installation
from worker.errors import UsageError
from worker.family_desk import FamilyDesk
from worker.identity import Actor
from worker.operations import Person


@dataclass
class AskedHost:
    """The host of one request: `print_json` makes its answer, and nothing else is printed."""

    installation: Installation
    family: str
    actor: Actor
    document: dict[str, Any] = field(default_factory=dict)

    @contextmanager
    def looking(self) -> Iterator[FamilyDesk]:
        yield self._desk(Person(self.actor, "a look"))

    @contextmanager
    def changing(self, reason: str, on_behalf_of: str | None) -> Iterator[FamilyDesk]:
        yield self._desk(operations.person(self.actor, reason, on_behalf_of))

    def _desk(self, person: Person) -> FamilyDesk:
        here = self.installation
        engine = here.engine(person.actor)
        return FamilyDesk(here.settings.env, engine, self.family, person, here.policies)

    def refuse(self, sentence: str) -> Exception:
        return UsageError(sentence)

    def print_json(self, document: Mapping[str, Any]) -> None:
        self.document = dict(document)

    def heading(self, environment: str, text: str) -> None: ...

    def table(self, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None: ...

    def facts(self, rows: Iterable[tuple[str, str | None]]) -> None: ...

    def say(self, sentence: str) -> None: ...


@dataclass(frozen=True)
class FamilyDoor:
    """The API, as the routes of one family have it."""

    family: str

    def asked(self, command: str) -> Any:
        def host(here: Here, actor: Actor = allowed(command)) -> AskedHost:
            return AskedHost(here, self.family, actor)

        return Depends(host)


def routers() -> Iterator[APIRouter]:
    """Those that families bring."""
    for module in families.routes():
        yield import_module(module).router(FamilyDoor(families.family_in(module)))
