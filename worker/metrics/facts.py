"""The facts behind the metrics, read from the control database: the same for whoever is asked."""

from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import and_, func, select
from sqlalchemy.orm import Session

from jobs.task import Measurement
from worker import database, families
from worker.heartbeat import last_seen
from worker.metrics.catalog import CATALOG
from worker.reconciler import WORKER_GONE
from worker.states import UNFINISHED, State
from worker.tables import (
    Alert,
    Backlog,
    Brake,
    Checkpoint,
    Chunk,
    Doorbell,
    Notice,
    ProbeState,
    ProbeTrouble,
    Process,
    Run,
    Switch,
    Unsequenced,
)

DAY = timedelta(days=1)
_OPEN = UNFINISHED | {State.PAUSED, State.AWAITING_APPROVAL, State.PLANNED}

Facts = Callable[[Session, datetime], Iterator[Measurement]]


def measurement(name: str, value: float, **labels: str) -> Measurement:
    """A value of one of Tend's own metrics."""
    return Measurement(name, CATALOG[name].says, float(value), labels)


def all_facts(session: Session) -> Iterator[Measurement]:
    """Every metric that the control database knows, those of job families among them."""
    moment = database.now(session)
    for facts in (_processes, _targets, _runs, _latest, _policies, _standing, _probes, _audit):
        yield from facts(session, moment)
    for measure in families.measures():
        yield from measure(session)


def _processes(session: Session, moment: datetime) -> Iterator[Measurement]:
    alive = _alive(session, moment)
    for kind in ("scheduler", "worker"):
        yield measurement("tend_processes", sum(p.kind == kind for p in alive), kind=kind)
        seen = last_seen(session, kind)
        if seen is not None:
            yield measurement("tend_last_seen_seconds", _seconds(moment - seen), kind=kind)
    for process in alive:
        labels = {"kind": process.kind, "host": process.host, "pid": str(process.pid)}
        for key, name in (
            ("memory_bytes", "tend_process_memory_bytes"),
            ("cpu", "tend_process_cpu_share"),
        ):
            if key in process.measured:
                yield measurement(name, process.measured[key], **labels)


def _targets(session: Session, moment: datetime) -> Iterator[Measurement]:
    said: dict[str, list[dict[str, Any]]] = {}
    for process in _alive(session, moment):
        for kind, answers in process.measured.get("targets", {}).items():
            said.setdefault(kind, []).append(answers)
    for kind, answers in said.items():
        seconds = [each["seconds"] for each in answers if each["seconds"] is not None]
        yield measurement("tend_target_up", 1 if seconds else 0, target=kind)
        if seconds:
            yield measurement("tend_target_answer_seconds", min(seconds), target=kind)


def _runs(session: Session, moment: datetime) -> Iterator[Measurement]:
    by = (Run.policy, Run.state)
    unfinished = select(*by, func.count()).where(Run.state.in_(_OPEN)).group_by(*by)
    for policy, state, number in session.execute(unfinished):
        yield measurement("tend_runs_unfinished", number, policy=policy, state=str(state))
    lately = Run.created_at > moment - DAY
    made = select(*by, func.count()).where(lately).group_by(*by)
    for policy, state, number in session.execute(made):
        yield measurement("tend_runs_last_day", number, policy=policy, state=str(state))
    changed = (
        select(Run.policy, func.sum(Chunk.changed))
        .join(Chunk, and_(Chunk.run_id == Run.id, Chunk.direction == "apply"))
        .where(lately)
        .group_by(Run.policy)
    )
    for policy, number in session.execute(changed):
        yield measurement("tend_records_changed_last_day", number, policy=policy)


def _latest(session: Session, moment: datetime) -> Iterator[Measurement]:
    lately = select(func.max(Run.id)).where(Run.created_at > moment - DAY)
    over = lately.where(Run.finished_at.is_not(None), Run.started_at.is_not(None))
    for run in _rows(session, over.group_by(Run.policy)):
        if run.finished_at is not None and run.started_at is not None:
            took = _seconds(run.finished_at - run.started_at)
            yield measurement("tend_run_duration_seconds", took, policy=run.policy)
    due = lately.where(Run.scheduled_for.is_not(None), Run.state != State.SKIPPED)
    for run in _rows(session, due.group_by(Run.policy)):
        if run.scheduled_for is not None:
            late = _seconds((run.started_at or moment) - run.scheduled_for)
            yield measurement("tend_run_lag_seconds", late, policy=run.policy)


def _policies(session: Session, _moment: datetime) -> Iterator[Measurement]:
    good = select(func.max(Run.id)).where(Run.state == State.SUCCEEDED).group_by(Run.policy)
    for run in _rows(session, good):
        if run.finished_at is not None:
            at = run.finished_at.timestamp()
            yield measurement("tend_last_success_timestamp_seconds", at, policy=run.policy)
    for switch in session.scalars(select(Switch)):
        is_on = switch.enabled_version is not None and not switch.schedule_paused
        yield measurement("tend_policy_enabled", is_on, policy=switch.policy)
    for each in session.scalars(select(Backlog)):
        counted = each.at.timestamp()
        yield measurement("tend_overdue_counted_timestamp_seconds", counted, policy=each.policy)
        if each.records is not None:
            yield measurement("tend_overdue_records", each.records, policy=each.policy)
        if each.late_seconds is not None:
            yield measurement("tend_overdue_age_seconds", each.late_seconds, policy=each.policy)


def _standing(session: Session, moment: datetime) -> Iterator[Measurement]:
    pulled = session.scalar(select(func.count()).select_from(Brake))
    yield measurement("tend_brakes_pulled", pulled or 0)
    due = session.scalar(
        select(func.count()).select_from(Doorbell).where(Doorbell.due_at <= moment)
    )
    yield measurement("tend_doorbells_owed", due or 0)
    waiting = (Notice.sent_at.is_(None), Notice.given_up_at.is_(None))
    owed = session.scalar(select(func.count()).select_from(Notice).where(*waiting))
    yield measurement("tend_notices_owed", owed or 0)
    is_open = Alert.acknowledged_at.is_(None)
    by = (Alert.severity, Alert.event, is_open)
    standing = select(*by, func.count()).where(Alert.cleared_at.is_(None)).group_by(*by)
    for severity, event, unanswered, number in session.execute(standing):
        state = "open" if unanswered else "acknowledged"
        yield measurement("tend_alerts", number, severity=severity, event=event, state=state)


def _probes(session: Session, _moment: datetime) -> Iterator[Measurement]:
    by = (ProbeTrouble.probe, ProbeTrouble.place, ProbeTrouble.check)
    raised = select(*by, func.count()).where(ProbeTrouble.raised).group_by(*by)
    for probe, place, check, number in session.execute(raised):
        yield measurement("tend_probe_troubles", number, probe=probe, place=place, check=check)
    for state in session.scalars(select(ProbeState).where(ProbeState.off.is_(None))):
        if state.looked_at is not None:
            labels = {"probe": state.name, "place": state.place}
            at, took = state.looked_at.timestamp(), (state.took_ms or 0) / 1000
            yield measurement("tend_probe_looked_timestamp_seconds", at, **labels)
            yield measurement("tend_probe_look_seconds", took, **labels)


def _audit(session: Session, moment: datetime) -> Iterator[Measurement]:
    waiting = session.scalar(select(func.count()).select_from(Unsequenced))
    yield measurement("tend_audit_unsequenced_entries", waiting or 0)
    signed = session.scalar(select(Checkpoint.at).order_by(Checkpoint.id.desc()).limit(1))
    if signed is not None:
        yield measurement("tend_audit_checkpoint_age_seconds", _seconds(moment - signed))


def _alive(session: Session, moment: datetime) -> list[Process]:
    alive = select(Process).where(Process.seen_at > moment - WORKER_GONE)
    return list(session.scalars(alive.order_by(Process.id)))


def _rows(session: Session, ids: Any) -> Iterator[Run]:
    yield from session.scalars(select(Run).where(Run.id.in_(ids)))


def _seconds(time: timedelta) -> float:
    return max(0.0, time.total_seconds())
