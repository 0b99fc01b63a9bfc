"""What the command line lends to the commands of a job family."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

from worker import bootstrap
from worker.cli import context, output
from worker.errors import UsageError
from worker.family_desk import FamilyDesk
from worker.operations import Person


@dataclass(frozen=True)
class FamilyHost:
    """The command line, as the commands of one family have it."""

    family: str

    @contextmanager
    def looking(self) -> Iterator[FamilyDesk]:
        with self._opened(context.person("a look", None)) as desk:
            yield desk

    @contextmanager
    def changing(self, reason: str, on_behalf_of: str | None) -> Iterator[FamilyDesk]:
        with self._opened(context.person(reason, on_behalf_of)) as desk:
            yield desk

    @contextmanager
    def _opened(self, person: Person) -> Iterator[FamilyDesk]:
        settings = context.load_settings()
        context.need_target(settings)
        with context.control(settings) as database:
            engine = bootstrap.open_engine(settings, database, person.actor)
            try:
                loads = partial(context.load_policies, settings)
                yield FamilyDesk(settings.env, engine, self.family, person, loads)
            finally:
                engine.close()

    def refuse(self, sentence: str) -> Exception:
        return UsageError(sentence)

    def print_json(self, document: Mapping[str, Any]) -> None:
        output.print_json(document)

    def heading(self, environment: str, text: str) -> None:
        output.heading(output.console(), environment, text)

    def table(self, names: Sequence[str], rows: Iterable[Sequence[str]]) -> None:
        output.table(output.console(), names, rows)

    def facts(self, rows: Iterable[tuple[str, str | None]]) -> None:
        output.facts(output.console(), rows)

    def say(self, sentence: str) -> None:
        output.say(sentence)
