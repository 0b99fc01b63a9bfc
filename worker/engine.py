"""What the engine's rooms share: connections, keys, the clock and who is working."""

import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from jobs.base import Job
from policies.models import Policy, RecordOptions
from policies.selectors import Selector
from worker.archive import ArchiveStore
from worker.database import Database
from worker.errors import ArchiveExpired
from worker.identity import Actor
from worker.keys import Keyring, RunKey
from worker.narrowing import narrowed
from worker.registry import frozen_policy, job_of
from worker.tables import Run
from worker.targets.mongo import MongoTarget


def system_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Engine:
    """Everything a process needs to plan, apply, verify and undo."""

    database: Database
    target: MongoTarget
    archive: ArchiveStore
    keyring: Keyring
    actor: Actor
    worker: str
    is_inline: bool = False
    """True in a command line's `--inline`: it alone works on runs of that kind."""
    clock: Callable[[], datetime] = system_clock
    draining: threading.Event = field(default_factory=threading.Event)
    """Set when this process must stop: claims are given back after the batch that runs."""


@dataclass(frozen=True)
class Work:
    """One run's frozen policy, thawed: nothing here depends on today's policy files."""

    run: Run
    policy: Policy
    job: Job
    selector: Selector
    """The job's selector with the person's narrowing, which can only take records away."""
    key: RunKey

    @property
    def options(self) -> RecordOptions:
        return cast(RecordOptions, self.policy.options)

    @property
    def as_of(self) -> datetime:
        if self.run.as_of is None:
            raise AssertionError(f"run r-{self.run.id} has no plan yet")
        return self.run.as_of


def thaw(run: Run, keyring: Keyring) -> Work:
    """Rebuild what a run was frozen with; raises `ArchiveExpired` when its key is destroyed."""
    policy = frozen_policy(run.policy_text)
    job = job_of(policy)
    selector = narrowed(job.selector(policy), run.narrowing)
    if run.key is None:
        raise ArchiveExpired(
            f"The plan and archive of r-{run.id} are past their time and were destroyed; "
            "plan the policy anew."
        )
    return Work(run, policy, job, selector, keyring.unwrap(run.key))
