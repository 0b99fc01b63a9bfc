"""Which jobs and which policies there are; the one place where the engine meets both."""

import json
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache, lru_cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType
from typing import cast

from pydantic import ValidationError

from jobs.base import Job
from jobs.probing import ProbeKind
from jobs.task import TaskJob
from policies.errors import PolicyError, TendError
from policies.loader import LoadedPolicy, did_you_mean, load, load_file, load_probes, reasons
from policies.models import Policy, PolicyOptions, TaskOptions
from policies.probes import Probe
from worker.errors import UnknownPolicy

_CONTRACT = {"base", "host", "moments", "probing", "record_job", "tables", "task"}


@cache
def every_job() -> Mapping[str, Job | TaskJob]:
    """Every job by name: each module and package in `jobs` brings one, called `job`."""
    return MappingProxyType(jobs_in(import_module("jobs")))


@cache
def jobs() -> Mapping[str, Job]:
    """Those that change records."""
    return MappingProxyType(
        {name: cast(Job, job) for name, job in every_job().items() if not _performs(job)}
    )


@cache
def tasks() -> Mapping[str, TaskJob]:
    """Those that perform tasks."""
    return MappingProxyType(
        {name: cast(TaskJob, job) for name, job in every_job().items() if _performs(job)}
    )


def _performs(job: Job | TaskJob) -> bool:
    return issubclass(job.Options, TaskOptions)


def jobs_in(package: ModuleType) -> dict[str, Job | TaskJob]:
    found: dict[str, Job | TaskJob] = {}
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if module.name.rpartition(".")[2] in _CONTRACT:
            continue
        brings = import_module(module.name)
        if hasattr(brings, "kinds"):
            continue
        for job in _brought(brings):
            if job.name in found:
                raise TendError(
                    f"{module.name} calls its job {job.name}, as another one does; rename"
                )
            found[job.name] = job
    return found


@cache
def probe_kinds() -> Mapping[str, ProbeKind]:
    """The kinds of probes by name: a package in `jobs` that looks brings `kinds` instead."""
    package = import_module("jobs")
    names = (module.name for module in pkgutil.iter_modules(package.__path__, "jobs."))
    found = (getattr(import_module(name), "kinds", ()) for name in names)
    return MappingProxyType({kind.name: kind for brought in found for kind in brought})


def probes_in(directories: Sequence[Path]) -> Mapping[str, Probe]:
    """Every probe of these policy directories; raises `PolicyError`."""
    options = {name: kind.Options for name, kind in probe_kinds().items()}
    return MappingProxyType(load_probes(directories, options))


def _brought(module: ModuleType) -> tuple[Job | TaskJob, ...]:
    """A module brings one job as `job`, a family that has several brings them as `jobs`."""
    jobs: tuple[Job | TaskJob, ...] = getattr(module, "jobs", ())
    job: Job | TaskJob | None = getattr(module, "job", None)
    found = jobs if job is None else (job,)
    if not found:
        raise TendError(f"{module.__name__} has no `job`; end it with an instance of its job")
    return found


def family_of(job: Job | TaskJob) -> str:
    """The module or package in `jobs` that brings it."""
    return type(job).__module__.split(".")[1]


def policy_in(path: Path) -> Policy:
    """The policy in one file, whatever policies are in force beside it."""
    return load_file(path, _options()).policy


def _options() -> dict[str, type[PolicyOptions]]:
    return {name: job.Options for name, job in every_job().items()}


def job_of(policy: Policy) -> Job:
    """The job of a policy that changes records."""
    return cast(Job, any_job_of(policy))


def task_of(policy: Policy) -> TaskJob:
    """The job of a policy that performs tasks."""
    return cast(TaskJob, any_job_of(policy))


def any_job_of(policy: Policy) -> Job | TaskJob:
    job = every_job().get(policy.job)
    if job is None:
        known = did_you_mean(policy.job, every_job())
        raise PolicyError(f"there is no job '{policy.job}'; {known}")
    return job


def is_task(policy: Policy) -> bool:
    """Whether the policy's job performs tasks rather than changing planned records."""
    return _performs(any_job_of(policy))


@lru_cache(maxsize=256)
def frozen_policy(text: str) -> Policy:
    """The policy a run was frozen with, from its canonical text; read before every batch."""
    document = json.loads(text)
    try:
        frozen = Policy.model_validate({**document, "options": {}})
        options = any_job_of(frozen).Options.model_validate(document["options"])
    except ValidationError as error:
        raise PolicyError(
            f"the text frozen for '{document['name']}' cannot be read by this version of Tend, "
            f"plan anew: {reasons(error)}"
        ) from error
    return frozen.model_copy(update={"options": options})


def frozen_target(text: str) -> str | None:
    """The kind of target whose records a run changes, in the text it was frozen with."""
    target = json.loads(text)["options"].get("target")
    return None if target is None else str(target)


class Policies:
    """Every policy of this process, by name."""

    def __init__(self, loaded: Mapping[str, LoadedPolicy]) -> None:
        self._loaded = dict(loaded)

    @classmethod
    def load(cls, directories: Sequence[Path]) -> "Policies":
        return cls(load(directories, _options()))

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(self._loaded)

    def get(self, name: str) -> LoadedPolicy:
        try:
            return self._loaded[name]
        except KeyError:
            raise UnknownPolicy(
                f"there is no policy '{name}'; {did_you_mean(name, self.names)}"
            ) from None

    def __iter__(self) -> Iterator[LoadedPolicy]:
        return iter(self._loaded.values())
