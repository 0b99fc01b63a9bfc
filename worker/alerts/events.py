"""What may be alerted of, and how soon somebody must answer: the one table of P0 to P3."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum
from types import MappingProxyType


class Severity(StrEnum):
    """How bad it is; each has its response time."""

    P0 = "P0"
    P1 = "P1"
    P2 = "P2"
    P3 = "P3"

    @property
    def response(self) -> timedelta:
        """Within which somebody must have acknowledged it."""
        return RESPONSE[self]

    @property
    def is_urgent(self) -> bool:
        return self in {Severity.P0, Severity.P1}


RESPONSE: Mapping[Severity, timedelta] = MappingProxyType(
    {
        Severity.P0: timedelta(hours=1),
        Severity.P1: timedelta(hours=4),
        Severity.P2: timedelta(hours=24),
        Severity.P3: timedelta(hours=72),
    }
)


@dataclass(frozen=True)
class Event:
    """One kind of trouble."""

    severity: Severity
    title: str
    unaffected: str
    next: str


EVENTS: Mapping[str, Event] = MappingProxyType(
    {
        "audit_integrity": Event(
            Severity.P0,
            "The audit log is not what was signed",
            "Records and archives; what the log says may not be relied on.",
            "tend audit verify --full",
        ),
        "protection_failed": Event(
            Severity.P0,
            "A lock or block did not take",
            "Other accounts and addresses.",
            "tend lockout list",
        ),
        "scheduler_missing": Event(
            Severity.P0,
            "No scheduler runs",
            "Runs that workers are at; commands of people.",
            "tend scheduler",
        ),
        "audit_incomplete": Event(
            Severity.P1,
            "The audit log lacks something",
            "What the log says is what was signed.",
            "tend audit verify --full",
        ),
        "worker_missing": Event(
            Severity.P1,
            "No worker runs",
            "Schedules: each due time becomes a run, which waits.",
            "tend worker",
        ),
        "run_failed": Event(
            Severity.P1,
            "A run failed",
            "Other policies, and what the run has changed and archived.",
            "tend runs",
        ),
        "error_rate": Event(
            Severity.P1,
            "Too many runs fail",
            "Runs that succeed.",
            "tend report failures",
        ),
        "needs_person": Event(
            Severity.P1,
            "Something waits for a person and cannot mend itself",
            "Everything else.",
            "tend status",
        ),
        "guard_refused": Event(
            Severity.P2,
            "A guard refused a plan",
            "All records: nothing was changed.",
            "tend runs",
        ),
        "approval_waiting": Event(
            Severity.P2,
            "A plan waits for approval",
            "All records: nothing is changed before somebody decides.",
            "tend runs",
        ),
        "policy_overdue": Event(
            Severity.P2,
            "A policy has not succeeded when it was due",
            "Other policies.",
            "tend status",
        ),
        "records_overdue": Event(
            Severity.P2,
            "Records are kept longer than a policy says",
            "Other policies.",
            "tend status",
        ),
        "service_failing": Event(
            Severity.P2,
            "Something outside of Tend fails; Tend goes on trying",
            "Everything that does not need it.",
            "tend status",
        ),
        "target_slow": Event(
            Severity.P2,
            "A target answers slowly",
            "Other targets; runs on this one go slower, or wait.",
            "tend doctor",
        ),
        "target_unreachable": Event(
            Severity.P1,
            "A target does not answer",
            "Other targets; runs on this one wait and go on by themselves.",
            "tend doctor",
        ),
        "resources": Event(
            Severity.P2,
            "A process of Tend uses more than it should",
            "Nothing has failed yet.",
            "tend doctor",
        ),
        "ends_soon": Event(
            Severity.P3,
            "Something will stop working unless a person renews it",
            "Nothing has failed yet.",
            "tend status",
        ),
        "probe": Event(
            Severity.P2,
            "A probe finds something ill",
            "Repairs and locks: probes only look.",
            "tend probes",
        ),
        "unlisted": Event(
            Severity.P2,
            "A trouble that the table of events does not list",
            "What its text does not name.",
            "tend status",
        ),
    }
)


def event(name: str) -> Event:
    """What the table says; a name that it lacks is `unlisted`, for no alert may be lost."""
    return EVENTS.get(name, EVENTS["unlisted"])
