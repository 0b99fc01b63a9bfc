"""Telling of troubles: one alert for each cause, from its first subject to its last."""

import hashlib
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from sqlalchemy.orm import Session

from jobs.task import Alert
from policies.probes import Probe
from worker.alerts import alerts
from worker.keys import Keyring
from worker.tables import ProbeTrouble

LONGEST = 128
"""Letters of an alert's cause."""
NAMED = 5
"""Subjects that an alert names; of the others it says how many there are."""


class Cause(NamedTuple):
    """A check, and what is ill by it: a subject, or what several are ill of together."""

    check: str
    of: str


Groups = Mapping[Cause, Sequence[ProbeTrouble]]


def tell(session: Session, keyring: Keyring, probe: Probe, before: Groups, now: Groups) -> None:
    """Raise what is new or has other subjects than before, and clear what is gone."""
    for cause, troubles in now.items():
        if _subjects(troubles) != _subjects(before.get(cause, ())):
            alerts.raise_alert(session, keyring, _alert(probe, cause, troubles))
    for cause in before.keys() - now.keys():
        alerts.clear_alert(session, named(probe.name, cause))


def named(probe: str, cause: Cause) -> str:
    """The cause as alerts know it; a long one ends in a digest of itself."""
    whole = f"probe/{probe}/{cause.check}/{cause.of}"
    if len(whole) <= LONGEST:
        return whole
    digest = hashlib.sha256(whole.encode()).hexdigest()[:16]
    return f"{whole[: LONGEST - 17]}-{digest}"


def _alert(probe: Probe, cause: Cause, troubles: Sequence[ProbeTrouble]) -> Alert:
    check = probe.check(cause.check)
    seen = "; ".join(f"{one.subject}: {one.says or 'ill'}" for one in troubles[:NAMED])
    more = f"; and {len(troubles) - NAMED} more" if len(troubles) > NAMED else ""
    question = cause.check.replace("_", " ")
    return Alert(
        event="probe",
        cause=named(probe.name, cause),
        text=f"{probe.name}, {question} of {cause.of}. {seen}{more}. {check.means} {check.todo}",
        next=f"tend probes show {probe.name}",
        severity=check.severity,
    )


def _subjects(troubles: Sequence[ProbeTrouble]) -> set[str]:
    return {one.subject for one in troubles}
