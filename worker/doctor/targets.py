"""The targets: each that is set is looked at, and of the others is said what waits for them."""

from collections.abc import Iterator
from functools import partial

from sqlalchemy import select

from worker.doctor import indicators, mongo, policies, sql
from worker.doctor.check import Check, Site, Verdict, failed, listed, ok
from worker.doctor.control import opened
from worker.settings import variable
from worker.tables import Switch
from worker.targets.kinds import KINDS, TENDED

_CHECKS = {
    "mongo": (*mongo.CHECKS, indicators.check("mongodb_indicators", "mongo")),
    "sql": (*sql.CHECKS, indicators.check("sql_indicators", "sql")),
}


def checks(site: Site) -> Iterator[Check]:
    for name, kind in TENDED.items():
        first, *others = _CHECKS[name]
        if kind.is_set(site.settings):
            yield from (first, *others)
        else:
            yield Check(first.name, first.setting, partial(_unset, name))


def _unset(name: str, site: Site) -> Verdict:
    """Many sites have databases of one kind alone; but what a person enabled has to run."""
    says = KINDS[name].unset
    setting = variable(KINDS[name].url)
    if not any(kind.is_set(site.settings) for kind in TENDED.values()):
        return failed(says)
    waiting = [policy.name for policy in policies.of_kind(site, name)]
    with opened(site) as control, control.transaction() as session:
        switches = select(Switch.policy).where(Switch.enabled_version.is_not(None))
        enabled = [policy for policy in session.scalars(switches) if policy in waiting]
    if enabled:
        return failed(f"{listed(enabled)} cannot run, though enabled. {says}")
    return ok(f"{setting} is not set, so {len(waiting)} policies do not fire: {listed(waiting)}.")
