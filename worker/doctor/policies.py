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
from worker.targets.mongo import MongoTarget


def of_each_policy(site: Site) -> Iterator[Check]:
    """A check for each policy that works on a collection."""
    for policy in _record_policies(site):
        yield Check(f"policy:{policy.name}", "TEND_MONGO_URL", partial(_served, policy))


def collections(site: Site) -> tuple[str, ...]:
    """Every collection that a policy works on."""
    options = (cast(RecordOptions, policy.options) for policy in _record_policies(site))
    return tuple(dict.fromkeys(each.collection for each in options))


def _record_policies(site: Site) -> list[Policy]:
    try:
        loaded = Policies.load(site.settings.policy_directories)
    except PolicyError:
        return []  # the check of the policies says why
    return [each.policy for each in loaded if isinstance(each.policy.options, RecordOptions)]


def _load(site: Site) -> Verdict:
    names = Policies.load(site.settings.policy_directories).names
    return ok(f"{len(names)} policies load.")


def _served(policy: Policy, site: Site) -> Verdict:
    """Whether the collection exists and an index finds what the policy describes."""
    options = cast(RecordOptions, policy.options)
    read_url = site.settings.mongo_read_url
    target = MongoTarget(
        site.settings.need("mongo_url"), read_url.get_secret_value() if read_url else None
    )
    with closing(target), pymongo.timeout(CONNECT_SECONDS):
        target.check(options.collection, job_of(policy).selector(policy), site.clock())
    return ok(f"Collection {options.collection} has the indexes that this policy needs.")


CHECKS = (Check("policies", "TEND_POLICY_DIR", _load),)
