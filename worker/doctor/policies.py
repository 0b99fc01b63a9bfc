"""The policies: whether they load, and whether the target has what each of them needs."""

from collections.abc import Iterator
from contextlib import closing
from functools import partial
from typing import cast

import pymongo

from policies.errors import PolicyError
from policies.models import Policy, RecordOptions
from worker.doctor.check import CONNECT_SECONDS, Check, Site, Verdict, ok
from worker.registry import Policies, job_of
from worker.settings import variable
from worker.targets.kinds import KINDS, TENDED, kind_of


def of_each_policy(site: Site) -> Iterator[Check]:
    """A check for each policy of an application whose database is set; migrations serve Tend's."""
    for name, kind in TENDED.items():
        if kind.is_set(site.settings):
            for policy in of_kind(site, name):
                yield Check(f"policy:{policy.name}", variable(kind.url), partial(_served, policy))


def of_kind(site: Site, kind: str) -> list[Policy]:
    """The policies that work on this kind of target."""
    try:
        loaded = Policies.load(site.settings.policy_directories)
    except PolicyError:
        return []  # the check of the policies says why
    return [each.policy for each in loaded if kind_of(each.policy) == kind]


def _load(site: Site) -> Verdict:
    names = Policies.load(site.settings.policy_directories).names
    return ok(f"{len(names)} policies load.")


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


CHECKS = (Check("policies", "TEND_POLICY_DIR", _load),)
