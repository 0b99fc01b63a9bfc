"""The doctor: looks at every connection, clock, key, index and heartbeat, all at the same time."""

import threading
import time
from dataclasses import dataclass

from policies.errors import TendError
from worker.doctor import control, doorbell, log, policies, storage, targets
from worker.doctor.check import Check, Site, Status, Verdict, failed
from worker.logs import safe_text

SECONDS = 8.0
"""A check that has not answered by then has failed; the others are not made to wait for it."""


@dataclass(frozen=True)
class Finding:
    """What one check found, in one sentence that says what to do if it is not well."""

    check: str
    status: Status
    says: str


def examine(site: Site, seconds: float = SECONDS) -> list[Finding]:
    """Make every check, each in a thread of its own, so that nothing hides anything else."""
    checks = [
        *policies.CHECKS,
        *control.CHECKS,
        *storage.CHECKS,
        *log.CHECKS,
        *doorbell.CHECKS,
        *targets.checks(site),
        *policies.of_each_policy(site),
    ]
    found: dict[str, Verdict] = {}

    def look(check: Check) -> None:
        found[check.name] = _verdict(check, site)

    threads = [threading.Thread(target=look, args=(check,), daemon=True) for check in checks]
    until = time.monotonic() + seconds
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    return [_finding(check, found.get(check.name) or _silent(check, seconds)) for check in checks]


def _verdict(check: Check, site: Site) -> Verdict:
    try:
        return check.look(site)
    except TendError as error:
        return failed(safe_text(error))
    except Exception as error:  # noqa: BLE001 - one broken thing must not hide the others
        return failed(f"This could not be looked at: {safe_text(error)}; check {check.setting}.")


def _silent(check: Check, seconds: float) -> Verdict:
    return failed(f"There was no answer within {seconds:.0f} s; check {check.setting}.")


def _finding(check: Check, verdict: Verdict) -> Finding:
    return Finding(check.name, verdict.status, verdict.says)
