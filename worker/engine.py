"""What the engine's rooms share: connections, keys, the clock and who is working."""

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import cast

from jobs.base import Job
from policies.models import Guards, Policy, RecordOptions
from policies.selectors import Selector
from policies.subjects import Subjects
from worker import guards, own_data
from worker.archive import ArchiveStore
from worker.audit.anchors import Anchors
from worker.audit.signing import Signer
from worker.database import Database
from worker.errors import ArchiveExpired, TargetMissing
from worker.identity import Actor
from worker.keys import Keyring, RunKey
from worker.narrowing import narrowed
from worker.registry import frozen_policy, frozen_target, job_of
from worker.tables import Run
from worker.targets.base import Target
from worker.targets.kinds import KINDS, kinds_of
from worker.throttle.gauge import Gauges


def system_clock() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True)
class Engine:
    """Everything a process needs to plan, apply, verify and undo."""

    database: Database
    targets: Mapping[str, Target]
    """By kind: those whose URL is set."""
    archive: ArchiveStore
    keyring: Keyring
    actor: Actor
    worker: str
    subjects: Subjects
    """Which fields legal holds look at; while one stands, only what is declared here changes."""
    is_inline: bool = False
    """True in a command line's `--inline`: it alone works on runs of that kind."""
    clock: Callable[[], datetime] = system_clock
    gauges: Gauges = field(default_factory=Gauges)
    redis_url: str | None = None
    """For job families that keep something there; the engine itself only rings through it."""
    signer: Signer | None = None
    """What knows the signatures of the audit log; None where no key is set."""
    anchors: Anchors | None = None
    draining: threading.Event = field(default_factory=threading.Event)
    """Set when this process must stop: claims are given back after the batch that runs."""

    def target_of(self, options: RecordOptions) -> Target:
        """Where the policy's records are; raises `TargetMissing`, which names the setting."""
        return self._target(options.target)

    def target_of_run(self, run: Run) -> Target:
        """The same by the run's frozen text, even if its policy can be read no longer."""
        kind = frozen_target(run.policy_text)
        if kind is None:
            raise AssertionError(f"r-{run.id} performs tasks and has no target of its own")
        return self._target(kind)

    def must_serve(self, policy: Policy) -> None:
        """Raise `TargetMissing` unless there is a target of each kind that the policy names."""
        for kind in kinds_of(policy):
            self._target(kind)

    def close(self) -> None:
        """End the connections to the targets; the control database is its opener's."""
        for target in self.targets.values():
            target.close()

    def _target(self, kind: str) -> Target:
        if kind not in self.targets:
            raise TargetMissing(KINDS[kind].unset)
        return self.targets[kind]


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
    def guards(self) -> Guards:
        """The policy's, and what was overridden for this very plan."""
        run = self.run
        return guards.in_force(
            self.policy.guards,
            run.overrides,
            run.planned,
            run.population or 0,
            guards.children_of(run),
        )

    @property
    def as_of(self) -> datetime:
        if self.run.as_of is None:
            raise AssertionError(f"run r-{self.run.id} has no plan yet")
        return self.run.as_of


def thaw(run: Run, keyring: Keyring) -> Work:
    """Rebuild what a run was frozen with; raises `ArchiveExpired` when its key is destroyed."""
    policy = frozen_policy(run.policy_text)
    job = job_of(policy)
    selector = own_data.within(policy, narrowed(job.selector(policy), run.narrowing))
    if run.key is None:
        raise ArchiveExpired(
            f"The plan and archive of r-{run.id} are past their time and were destroyed; "
            "plan the policy anew."
        )
    return Work(run, policy, job, selector, keyring.unwrap(run.key))
