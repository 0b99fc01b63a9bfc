"""What is wrong now, read from the control database: each finding is an alert that should stand."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from jobs.task import Alert
from policies.models import Policy
from policies.thresholds import Thresholds
from worker.reconciler import WORKER_GONE
from worker.states import State
from worker.switches import state_of
from worker.tables import Alert as Alerted
from worker.tables import Backlog, Entry, Process, Run, ScheduleCursor, Switch

OWN = "tend/"
"""Causes of Tend's own begin so; what no condition finds any more is cleared."""


@dataclass(frozen=True)
class Look:
    """One look at the installation."""

    session: Session
    moment: datetime
    policies: Sequence[Policy]
    thresholds: Thresholds
    since: datetime
    """When this process began to look: before that it cannot have missed anybody."""

    @property
    def enabled(self) -> Iterator[tuple[Policy, Switch]]:
        for policy in self.policies:
            switch = self.session.get(Switch, policy.name)
            if switch is not None and state_of(policy, switch) == "enabled":
                yield policy, switch

    @property
    def alive(self) -> Sequence[Process]:
        alive = select(Process).where(Process.seen_at > self.moment - WORKER_GONE)
        return self.session.scalars(alive.order_by(Process.host, Process.pid)).all()


def failed_runs(look: Look) -> Iterator[Alert]:
    """Runs that failed and that no later success of their policy has made good."""
    failed = select(Run).where(Run.state == State.FAILED).order_by(Run.id)
    newest = {run.policy: run for run in look.session.scalars(failed)}
    for policy, run in newest.items():
        if (_newest_success(look, policy) or 0) < run.id:
            yield Alert(
                "run_failed",
                f"{OWN}run_failed/{policy}",
                f"r-{run.id} of {policy} failed: {run.error}",
                next=f"tend show r-{run.id}",
            )


def refused_plans(look: Look) -> Iterator[Alert]:
    """Schedules whose newest run a guard refused; whoever asked for one themselves was told."""
    for policy in look.policies:
        query = select(Run).where(Run.policy == policy.name, Run.state != State.SKIPPED)
        run = look.session.scalars(query.order_by(Run.id.desc()).limit(1)).first()
        if run is not None and run.state == State.REFUSED and run.trigger == "schedule":
            yield Alert(
                "guard_refused",
                f"{OWN}guard_refused/{policy.name}",
                f"r-{run.id} of {policy.name} was refused: {run.refusal}.",
                next=f"tend show r-{run.id}",
            )


def waiting_approvals(look: Look) -> Iterator[Alert]:
    before = look.moment - look.thresholds.approval_waiting.delta
    asked = (
        select(func.max(Entry.at))
        .where(Entry.run_id == Run.id, Entry.action == "run_awaiting_approval")
        .correlate(Run)
        .scalar_subquery()
    )
    waiting = select(Run, asked).where(Run.state == State.AWAITING_APPROVAL).order_by(Run.id)
    for run, since in look.session.execute(waiting):
        if since is not None and since <= before:
            yield Alert(
                "approval_waiting",
                f"{OWN}approval_waiting/r-{run.id}",
                f"r-{run.id} of {run.policy} waits for approval since {_at(since)}.",
                next=f"tend show r-{run.id}",
            )


def overdue_policies(look: Look) -> Iterator[Alert]:
    """Enabled policies that have not succeeded since a due time that is long past."""
    before = look.moment - look.thresholds.policy_overdue.delta
    for policy, switch in look.enabled:
        due = look.session.scalar(
            select(func.max(Run.scheduled_for)).where(
                Run.policy == policy.name, Run.scheduled_for.between(switch.at, before)
            )
        )
        cursor = look.session.get(ScheduleCursor, policy.name)
        looked_at = None if cursor is None else cursor.looked_at
        if due is None or (looked_at is not None and looked_at >= due):
            continue
        good = select(Run.id).where(
            Run.policy == policy.name, Run.state == State.SUCCEEDED, Run.finished_at >= due
        )
        if look.session.scalar(good.limit(1)) is None:
            yield Alert(
                "policy_overdue",
                f"{OWN}policy_overdue/{policy.name}",
                f"{policy.name} was due at {_at(due)} and has not succeeded since.",
            )


def overdue_records(look: Look) -> Iterator[Alert]:
    late = look.thresholds.records_overdue.delta
    for policy, _ in look.enabled:
        backlog = look.session.get(Backlog, policy.name)
        if backlog is None or backlog.late_seconds is None:
            continue
        if backlog.late_seconds > late.total_seconds():
            count = f"{'at least ' if backlog.at_least else ''}{backlog.records:,}"
            yield Alert(
                "records_overdue",
                f"{OWN}records_overdue/{policy.name}",
                f"{policy.name} finds {count} records, the oldest due for "
                f"{backlog.late_seconds // 86400} days.",
            )


def missing_workers(look: Look) -> Iterator[Alert]:
    yield from _missing(look, "worker", look.thresholds.worker_missing.delta)


def missing_schedulers(look: Look) -> Iterator[Alert]:
    yield from _missing(look, "scheduler", look.thresholds.scheduler_missing.delta)


def error_rate(look: Look) -> Iterator[Alert]:
    rate = look.thresholds.error_rate
    ended = (State.SUCCEEDED, State.FAILED)
    query = (
        select(Run.state, func.count())
        .where(Run.created_at > look.moment - rate.within.delta, Run.state.in_(ended))
        .group_by(Run.state)
    )
    counts: dict[State, int] = dict(look.session.execute(query).all())
    failed, total = counts.get(State.FAILED, 0), sum(counts.values())
    if total >= rate.runs and failed * 100 >= rate.percent * total:
        yield Alert(
            "error_rate",
            f"{OWN}error_rate",
            f"Of {total} runs within {rate.within}, {failed} have failed.",
        )


def resources(look: Look) -> Iterator[Alert]:
    most = look.thresholds.resources
    for process in look.alive:
        memory = process.measured.get("memory_bytes", 0) // 2**20
        cpu = process.measured.get("cpu", 0.0) * 100
        if memory > most.memory_mib or cpu > most.cpu_percent:
            yield Alert(
                "resources",
                f"{OWN}resources/{process.kind}/{process.id[:8]}",
                f"The {process.kind} with process id {process.pid} on {process.host} holds "
                f"{memory} MiB and uses {cpu:.0f} % of a core.",
            )


def targets(look: Look) -> Iterator[Alert]:
    """Targets that no worker reaches, or that answer even the fastest of them slowly."""
    said: dict[str, list[dict[str, object]]] = {}
    for process in look.alive:
        for kind, answers in process.measured.get("targets", {}).items():
            said.setdefault(kind, []).append(answers)
    for kind, answers in said.items():
        yield from _target(look, kind, answers)


def _target(look: Look, kind: str, answers: Sequence[dict[str, object]]) -> Iterator[Alert]:
    long_ago = look.moment - look.thresholds.target_unreachable.delta
    since = [each["failing_since"] for each in answers]
    if all(each is not None for each in since):
        first = max(datetime.fromisoformat(str(each)) for each in since)
        if first <= long_ago:
            yield Alert(
                "target_unreachable",
                f"{OWN}target_unreachable/{kind}",
                f"No worker reaches the target {kind} since {_at(first)}.",
            )
        return
    known = [float(str(each["seconds"])) for each in answers if each["seconds"] is not None]
    seconds = min(known, default=0.0)
    if seconds > look.thresholds.target_seconds:
        yield Alert(
            "target_slow",
            f"{OWN}target_slow/{kind}",
            f"The target {kind} takes {seconds:.1f} s to answer the simplest question.",
        )


def _missing(look: Look, kind: str, longest: timedelta) -> Iterator[Alert]:
    seen = look.session.scalar(select(func.max(Process.seen_at)).where(Process.kind == kind))
    cause = f"{OWN}{kind}_missing"
    standing = select(Alerted.id).where(Alerted.cause == cause, Alerted.cleared_at.is_(None))
    if look.session.scalar(standing) is not None:
        is_missing = seen is None or seen <= look.moment - WORKER_GONE
    else:
        is_missing = (seen or look.since) <= look.moment - longest
    if is_missing:
        last = f"the last was seen at {_at(seen)}" if seen is not None else "none was seen"
        yield Alert(f"{kind}_missing", cause, f"No {kind} runs: {last}.")


def _newest_success(look: Look, policy: str) -> int | None:
    good = select(func.max(Run.id)).where(Run.policy == policy, Run.state == State.SUCCEEDED)
    return look.session.scalar(good)


def _at(moment: datetime) -> str:
    return f"{moment:%Y-%m-%d %H:%M} UTC"


@dataclass(frozen=True)
class Condition:
    """What to look for, and the events that it raises and clears."""

    find: Callable[[Look], Iterator[Alert]]
    events: frozenset[str]


SCHEDULERS = Condition(missing_schedulers, frozenset({"scheduler_missing"}))
"""What workers look for, since no scheduler can notice it."""
ALL: Sequence[Condition] = (
    SCHEDULERS,
    Condition(missing_workers, frozenset({"worker_missing"})),
    Condition(failed_runs, frozenset({"run_failed"})),
    Condition(refused_plans, frozenset({"guard_refused"})),
    Condition(waiting_approvals, frozenset({"approval_waiting"})),
    Condition(overdue_policies, frozenset({"policy_overdue"})),
    Condition(overdue_records, frozenset({"records_overdue"})),
    Condition(error_rate, frozenset({"error_rate"})),
    Condition(resources, frozenset({"resources"})),
    Condition(targets, frozenset({"target_unreachable", "target_slow"})),
)
"""What schedulers look for."""
