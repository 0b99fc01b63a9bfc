"""What a set of policies touches in one kind of target: read from the policies themselves."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import cast

from policies.models import Policy, RecordOptions, TaskOptions
from policies.selectors import parent_of
from worker.registry import job_of
from worker.targets.kinds import kind_of
from worker.targets.quarantine import SUFFIX


@dataclass(frozen=True)
class Footprint:
    """Collections by what happens to their records."""

    changed: tuple[str, ...]
    quarantines: tuple[str, ...]
    """Where records are moved to; they are made with the first that is."""
    made: tuple[str, ...]
    """Where tasks keep records of their own."""
    read: tuple[str, ...]
    """Where policies only look for something, such as an orphan's parent."""


def footprint(policies: Iterable[Policy], kind: str) -> Footprint:
    """The collections of this kind of target that these policies work on."""
    found = list(policies)
    wanted = [each for each in found if kind_of(each) == kind]
    options = [cast(RecordOptions, each.options) for each in wanted]
    every = (each.options for each in found)
    tasks = [each for each in every if isinstance(each, TaskOptions) and kind in each.targets]
    parents = [parent_of(job_of(each).selector(each)) for each in wanted]
    return Footprint(
        changed=_once(
            [
                *(name for each in options for name in each.written),
                *(name for each in tasks for name in each.written),
            ]
        ),
        quarantines=_once(each.collection + SUFFIX for each in options if each.quarantines),
        made=_once(name for each in tasks if kind == "mongo" for name in each.made),
        read=_once(
            [
                *(each.parent for each in parents if each is not None),
                *(name for each in tasks for name in each.read),
            ]
        ),
    )


def _once(names: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(names))
