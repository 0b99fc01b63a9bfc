"""The policies: whether they load, and whether the target has what each of them needs."""

from collections.abc import Iterator
from contextlib import ExitStack, closing
from functools import partial
from typing import cast

import pymongo

from policies.errors import PolicyError
from policies.models import Policy, RecordOptions
from worker.doctor.check import CONNECT_SECONDS, Check, Site, Verdict, listed, ok, warning
from worker.registry import is_task, job_of, probes_in, task_of
from worker.settings import variable
from worker.targets.kinds import KINDS, TENDED, is_served, kind_of, kinds_of
from worker.tasks.context import Checking


def of_each_policy(site: Site) -> Iterator[Check]:
    """A check for each policy of an application whose database is set; migrations serve Tend's."""
    for name, kind in TENDED.items():
        if kind.is_set(site.settings):
            for policy in of_kind(site, name):
                yield Check(f"policy:{policy.name}", variable(kind.url), partial(_served, policy))
            for policy in _tasks(site, name):
                yield Check(f"policy:{policy.name}", variable(kind.url), partial(_ready, policy))


def of_kind(site: Site, kind: str) -> list[Policy]:
    """The policies that work on this kind of target."""
    return [policy for policy in _loaded(site) if kind_of(policy) == kind]


def _tasks(site: Site, kind: str) -> list[Policy]:
    """Those that perform tasks, under the first kind of target that they work on."""
    return [
        policy
        for policy in _loaded(site)
        if is_task(policy) and kinds_of(policy)[:1] == (kind,) and is_served(site.settings, policy)
    ]


def _loaded(site: Site) -> list[Policy]:
    try:
        return [each.policy for each in site.policies]
    except PolicyError:
        return []  # the check of the policies says why


def _load(site: Site) -> Verdict:
    return ok(f"{len(site.policies.names)} policies load.")


def _served(policy: Policy, site: Site) -> Verdict:
    """Whether the collection exists and an index finds what the policy describes."""
    options = cast(RecordOptions, policy.options)
    target = KINDS[options.target].open(site.settings)
    with closing(target), pymongo.timeout(CONNECT_SECONDS):
        if options.quarantines:
            target.check_quarantine(options.collection)
        job = job_of(policy)
        reader = target.reader(options.collection, site.clock(), scan=False)
        job.check(reader, policy, job.selector(policy))
    return ok(f"{options.collection} has the indexes that this policy needs.")


def _ready(policy: Policy, site: Site) -> Verdict:
    """Whether what a task's policy names is there, and what its job asks people."""
    with ExitStack() as opened, pymongo.timeout(CONNECT_SECONDS):
        targets = {
            kind: opened.enter_context(closing(KINDS[kind].open(site.settings)))
            for kind in kinds_of(policy)
        }
        job, context = task_of(policy), Checking(targets, site.clock())
        job.check(context, policy)
        questions = list(job.questions(context, policy))
    if questions:
        return warning(listed(questions))
    return ok("What this policy names is there.")


def _load_probes(site: Site) -> Verdict:
    found = probes_in(site.settings.policy_directories).values()
    empty = [probe.name for probe in found if probe.enabled and probe.options.is_empty]
    waits = f" {listed(empty)} name nothing yet to look at." if empty else ""
    return ok(f"{len(found)} probes load.{waits}")


CHECKS = (
    Check("policies", "TEND_POLICY_DIR", _load),
    Check("probes", "TEND_POLICY_DIR", _load_probes),
)
