"""Which jobs and which policies there are; the one place where the engine meets both."""

import json
import pkgutil
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib import import_module
from pathlib import Path
from types import MappingProxyType, ModuleType

from pydantic import ValidationError

from jobs.base import Job
from policies.errors import PolicyError, TendError
from policies.loader import LoadedPolicy, did_you_mean, load, reasons
from policies.models import Policy
from worker.errors import UnknownPolicy

_CONTRACT = {"base", "record_job"}


@cache
def jobs() -> Mapping[str, Job]:
    """Every job by name: each module and package in `jobs` brings one, called `job`."""
    return MappingProxyType(jobs_in(import_module("jobs")))


def jobs_in(package: ModuleType) -> dict[str, Job]:
    found: dict[str, Job] = {}
    for module in pkgutil.iter_modules(package.__path__, f"{package.__name__}."):
        if module.name.rpartition(".")[2] in _CONTRACT:
            continue
        job: Job | None = getattr(import_module(module.name), "job", None)
        if job is None:
            raise TendError(f"{module.name} has no `job`; end it with an instance of its job")
        if job.name in found:
            raise TendError(f"{module.name} calls its job {job.name}, as another one does; rename")
        found[job.name] = job
    return found


def job_of(policy: Policy) -> Job:
    job = jobs().get(policy.job)
    if job is None:
        raise PolicyError(f"there is no job '{policy.job}'; {did_you_mean(policy.job, jobs())}")
    return job


def frozen_policy(text: str) -> Policy:
    """The policy a run was frozen with, from its canonical text."""
    document = json.loads(text)
    try:
        frozen = Policy.model_validate({**document, "options": {}})
        options = job_of(frozen).Options.model_validate(document["options"])
    except ValidationError as error:
        raise PolicyError(
            f"the text frozen for '{document['name']}' cannot be read by this version of Tend, "
            f"plan anew: {reasons(error)}"
        ) from error
    return frozen.model_copy(update={"options": options})


def frozen_target(text: str) -> str:
    """The kind of target in the text a run was frozen with."""
    return str(json.loads(text)["options"]["target"])


class Policies:
    """Every policy of this process, by name."""

    def __init__(self, loaded: Mapping[str, LoadedPolicy]) -> None:
        self._loaded = dict(loaded)

    @classmethod
    def load(cls, directories: Sequence[Path]) -> "Policies":
        return cls(load(directories, {name: job.Options for name, job in jobs().items()}))

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
