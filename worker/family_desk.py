"""What a command or a request of a job family has open, whoever lends it."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy.orm import Session

from jobs.task import PerformContext
from policies.models import Policy
from worker.audit import entries
from worker.engine import Engine
from worker.operations import Person
from worker.registry import Policies, every_job, family_of, policy_in
from worker.tasks.context import Performing


@dataclass(frozen=True)
class FamilyDesk:
    """An open command of a family."""

    environment: str
    engine: Engine
    family: str
    person: Person
    loads: Callable[[], Policies]

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
        loaded = [each.policy for each in self.loads()]
        return [each for each in loaded if family_of(every_job()[each.job]) == self.family]

    def policy(self, name: str) -> Policy:
        if name.endswith((".yaml", ".yml")) or "/" in name:
            return policy_in(Path(name))
        return self.loads().get(name).policy

    def record(self, session: Session, action: str, policy: str, detail: Mapping[str, Any]) -> None:
        said = {"reason": self.person.reason, **detail}
        entries.append(session, action, self.person.actor, policy=policy, detail=said)
