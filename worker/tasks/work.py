"""One run of a task, thawed: nothing here depends on today's policy files."""

from dataclasses import dataclass
from datetime import datetime

from jobs.task import TaskJob
from policies.models import Guards, Policy
from worker import guards
from worker.errors import ArchiveExpired
from worker.keys import Keyring, RunKey
from worker.registry import frozen_policy, is_task, task_of
from worker.tables import Run


@dataclass(frozen=True)
class TaskWork:
    """What a run of a task was frozen with."""

    run: Run
    policy: Policy
    job: TaskJob
    key: RunKey

    @property
    def guards(self) -> Guards:
        """The policy's, and what was overridden for this very plan."""
        planned = self.run.planned
        return guards.in_force(self.policy.guards, self.run.overrides, planned, planned)

    @property
    def as_of(self) -> datetime:
        if self.run.as_of is None:
            raise AssertionError(f"run r-{self.run.id} has no plan yet")
        return self.run.as_of


def is_task_run(run: Run) -> bool:
    return is_task(frozen_policy(run.policy_text))


def thaw(run: Run, keyring: Keyring) -> TaskWork:
    """Rebuild what a run was frozen with; raises `ArchiveExpired` when its key is destroyed."""
    policy = frozen_policy(run.policy_text)
    if run.key is None:
        raise ArchiveExpired(f"The plan of r-{run.id} is past its time; plan the policy anew.")
    return TaskWork(run, policy, task_of(policy), keyring.unwrap(run.key))
