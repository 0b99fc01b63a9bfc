"""What the command line lends to the commands of a job family."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from jobs.task import PerformContext
from policies.models import Policy
from worker import bootstrap
from worker.audit import entries
from worker.cli import context, output
from worker.engine import Engine
from worker.errors import UsageError
from worker.operations import Person
from worker.registry import every_job, family_of, policy_in
from worker.settings import Settings
from worker.tasks.context import Performing


@dataclass(frozen=True)
class FamilyDesk:
    """An open command of a family."""

    settings: Settings
    engine: Engine
    family: str
    person: Person

    @property
    def environment(self) -> str:
        return self.settings.env

    @property
    def asker(self) -> str:
        return self.person.actor.name

    @property
    def reason(self) -> str:
        return self.person.reason

    @property
    def context(self) -> PerformContext:
        return Performing(self.engine, self.family, self.engine.clock())

    @property
    def policies(self) -> Sequence[Policy]:
        loaded = [each.policy for each in context.load_policies(self.settings)]
        return [each for each in loaded if family_of(every_job()[each.job]) == self.family]

    def policy(self, name: str) -> Policy:
        if name.endswith((".yaml", ".yml")) or "/" in name:
            return policy_in(Path(name))
        return context.load_policies(self.settings).get(name).policy

    def record(self, session: Session, action: str, policy: str, detail: Mapping[str, Any]) -> None:
        said = {"reason": self.person.reason, **detail}
        entries.append(session, action, self.person.actor, policy=policy, detail=said)


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
                yield FamilyDesk(settings, engine, self.family, person)
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
