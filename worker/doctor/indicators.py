"""Whether the throttle can read how a target is, and which policies do not work without."""

from contextlib import closing
from functools import partial

from policies.models import Policy
from worker.doctor.check import Check, Site, Verdict, failed, listed, ok, warning
from worker.doctor.policies import of_kind
from worker.settings import variable
from worker.targets.base import Reading
from worker.targets.kinds import TENDED


def check(name: str, kind: str) -> Check:
    """The check of one kind of target, which asks what a worker asks before a batch."""
    return Check(name, variable(TENDED[kind].url), partial(_readable, kind))


def _readable(kind: str, site: Site) -> Verdict:
    with closing(TENDED[kind].open(site.settings)) as target:
        readings = target.indicators()
    unread = [reading for reading in readings if reading.value is None]
    if not readings:
        return ok("A database of this kind has no indicators; the throttle goes by its batches.")
    if not unread:
        return ok(f"The throttle can read {listed([_name(each) for each in readings])}.")
    return _missing(unread, of_kind(site, kind))


def _missing(unread: list[Reading], policies: list[Policy]) -> Verdict:
    what = "; ".join(dict.fromkeys(reading.detail for reading in unread))
    says = f"The throttle cannot read {listed([_name(each) for each in unread])}: {what}."
    stopped = [policy.name for policy in policies if policy.throttle.missing == "stop"]
    if not stopped:
        return warning(f"{says} No policy stops for it.")
    return failed(
        f"{says} That stops {listed(stopped)}, whose throttle does not say `missing: go`."
    )


def _name(reading: Reading) -> str:
    return reading.indicator.replace("_", " ")
