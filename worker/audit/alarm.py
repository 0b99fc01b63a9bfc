"""What a verification found, as alerts that stand until all of the log verifies again."""

from sqlalchemy.orm import Session

from jobs.task import Alert
from worker.alerts.alerts import clear_alert, raise_alert
from worker.audit.findings import Report, Verdict
from worker.keys import Keyring

_EVENTS: dict[Verdict, str] = {"integrity": "audit_integrity", "completeness": "audit_incomplete"}


def sound(session: Session, keyring: Keyring, report: Report) -> None:
    """Raise an alert for each verdict that speaks against the log; clear what no longer does.

    A verification of the newest part alone clears nothing: what is off may lie before it.
    """
    for verdict, event in _EVENTS.items():
        found = report.integrity if verdict == "integrity" else report.completeness
        if found:
            raise_alert(session, keyring, Alert(event, event, _text(report, verdict, found)))
        elif not report.verified_from:
            clear_alert(session, event)


def _text(report: Report, verdict: Verdict, found: int) -> str:
    first = next((each.says for each in report.findings if each.verdict == verdict), "")
    return f"A verification of the audit log has {found:,} findings. The first: {first}"
