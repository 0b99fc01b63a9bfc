"""Every metric of Tend's own: its name, what it says, and its labels. All of them are gauges."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType


@dataclass(frozen=True)
class Metric:
    """What a metric says; one with labels has a value for each of what they name."""

    says: str
    labels: tuple[str, ...] = ()


_POLICY = ("policy",)

CATALOG: Mapping[str, Metric] = MappingProxyType(
    {
        "tend_info": Metric(
            "1; its labels say which Tend this is.", ("version", "environment", "revision")
        ),
        "tend_control_database_up": Metric("1 if the control database answered this scrape."),
        "tend_scrape_seconds": Metric("How long the facts of this scrape took to read."),
        "tend_processes": Metric("Processes that gave a sign of life in 30 s.", ("kind",)),
        "tend_last_seen_seconds": Metric("Since the last sign of life of the kind.", ("kind",)),
        "tend_process_memory_bytes": Metric("What a process holds.", ("kind", "host", "pid")),
        "tend_process_cpu_share": Metric(
            "Of one core, in the mean of two minutes.", ("kind", "host", "pid")
        ),
        "tend_target_up": Metric("1 if some worker reaches the target.", ("target",)),
        "tend_target_answer_seconds": Metric(
            "The fastest worker's median time to the simplest question.", ("target",)
        ),
        "tend_queue_depth": Metric("Rings that wait in Redis; missing if it does not answer."),
        "tend_doorbells_owed": Metric("Rings that are due and not in Redis yet."),
        "tend_runs_unfinished": Metric(
            "Runs that are at work or wait for a worker or a person.", ("policy", "state")
        ),
        "tend_runs_last_day": Metric("Runs made in the last 24 h, by state.", ("policy", "state")),
        "tend_records_changed_last_day": Metric(
            "Records changed by runs made in the last 24 h.", _POLICY
        ),
        "tend_run_duration_seconds": Metric(
            "Of the newest run of the last 24 h that is over, from its start to its end.", _POLICY
        ),
        "tend_run_lag_seconds": Metric(
            "Of the newest scheduled run of the last 24 h, from its due time to its start, or to "
            "now if it has not begun.",
            _POLICY,
        ),
        "tend_last_success_timestamp_seconds": Metric("When a run succeeded last.", _POLICY),
        "tend_policy_enabled": Metric("1 if the schedule may change data.", _POLICY),
        "tend_overdue_records": Metric("Records a policy finds, counted each 15 min.", _POLICY),
        "tend_overdue_age_seconds": Metric("For how long the oldest of them is due.", _POLICY),
        "tend_overdue_counted_timestamp_seconds": Metric("When they were counted.", _POLICY),
        "tend_brakes_pulled": Metric("Brakes that are pulled, for one policy or for all."),
        "tend_alerts": Metric("Alerts that stand.", ("severity", "event", "state")),
        "tend_probe_troubles": Metric(
            "Subjects that a probe raised and that are not cleared.", ("probe", "place", "check")
        ),
        "tend_probe_looked_timestamp_seconds": Metric(
            "When a probe was looked at last.", ("probe", "place")
        ),
        "tend_probe_look_seconds": Metric("How long that look took.", ("probe", "place")),
        "tend_notices_owed": Metric("Messages that no channel has taken yet."),
        "tend_audit_unsequenced_entries": Metric("Audit entries without a position yet."),
        "tend_audit_checkpoint_age_seconds": Metric("Since the audit log was signed last."),
    }
)
"""What job families bring beside these has its line in `docs/metrics.md`, too."""
