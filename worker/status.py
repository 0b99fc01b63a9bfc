"""The state of the house on one page: policies, what is overdue, processes, and runs under way."""

import threading
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from functools import partial
from queue import Empty, SimpleQueue
from typing import Any

from sqlalchemy import and_, or_, select
from sqlalchemy.orm import Session

from policies.errors import TendError
from policies.models import Policy
from policies.selectors import Selector
from policies.subjects import Subjects
from worker import holds, overdue, present
from worker.audit.entries import stamp
from worker.database import Database
from worker.logs import safe_text
from worker.states import UNFINISHED, State
from worker.switches import next_fire, state_of
from worker.tables import Run, ScheduleCursor, Switch
from worker.targets.base import Target
from worker.targets.kinds import KINDS, TENDED, TargetKind, kind_of

Document = dict[str, Any]
Held = Callable[[Policy], Selector | None]
"""What legal holds protect of a policy's collection."""

ENOUGH = 10_000
SECONDS_EACH = 2.0
SECONDS = 8.0
"""By then every row is there, with what could be learned."""
AT_ONCE = 4
"""Counts that run side by side: a status must not be a load of its own."""
_WAITING = {State.AWAITING_APPROVAL, State.PAUSED}


def policies(
    db: Database,
    found: Sequence[Policy],
    targets: Mapping[str, Target],
    subjects: Subjects,
    now: datetime,
    seconds: float = SECONDS,
) -> list[Document]:
    """A row for each policy; what could not be learned in time is said in it."""
    with db.reading() as session:
        held = partial(holds.protected, subjects, stands=holds.standing(session))
    counted = counted_of(found, targets, held, now, seconds)
    with db.reading() as session:
        return [{**_standing(session, each, now), **counted[each.name]} for each in found]


def runs(session: Session) -> list[Document]:
    """Every run that is at work or waits for somebody, oldest first."""
    by_hand = and_(Run.state == State.PLANNED, Run.trigger == "manual")
    wanted = or_(Run.state.in_(UNFINISHED | _WAITING), by_hand)
    found = session.scalars(select(Run).where(wanted).order_by(Run.id))
    return [present.run_as_json(session, run) for run in found]


def _standing(session: Session, policy: Policy, now: datetime) -> Document:
    switch = session.get(Switch, policy.name)
    version = switch.enabled_version if switch is not None else None
    return {
        "policy": policy.name,
        "state": state_of(policy, switch),
        "changed_since_enabled": version not in {None, policy.version},
        "next_fire": next_fire(policy, switch, now),
        "last_success": _newest(session, policy, State.SUCCEEDED),
        "last_run": _newest(session, policy),
        "last_idle_look": _idle_look(session, policy),
    }


def _idle_look(session: Session, policy: Policy) -> str | None:
    """When a task's policy last found nothing to do, of which no run is left."""
    cursor = session.get(ScheduleCursor, policy.name)
    return None if cursor is None or cursor.looked_at is None else stamp(cursor.looked_at)


def _newest(session: Session, policy: Policy, *states: State) -> Document | None:
    """The newest run, or the newest that ended so; slots that led to none do not count."""
    wanted = Run.state.in_(states) if states else Run.state != State.SKIPPED
    newest = select(Run).where(Run.policy == policy.name, wanted).order_by(Run.id.desc()).limit(1)
    run = session.scalars(newest).first()
    if run is None:
        return None
    at = run.finished_at or run.started_at or run.created_at
    return {"run": f"r-{run.id}", "state": str(run.state), "at": stamp(at)}


def counted_of(
    found: Sequence[Policy],
    targets: Mapping[str, Target],
    held: Held,
    now: datetime,
    seconds: float,
) -> dict[str, Document]:
    """What is overdue in each policy, counted a few at a time by threads that nobody waits for."""
    until = time.monotonic() + seconds
    counted: dict[str, Document] = {}
    waiting: SimpleQueue[Policy] = SimpleQueue()
    for policy in found:
        waiting.put(policy)

    def work() -> None:
        while (left := until - time.monotonic()) > 0:
            try:
                policy = waiting.get_nowait()
            except Empty:
                return
            counted[policy.name] = _count(policy, targets, held, now, min(SECONDS_EACH, left))

    threads = [threading.Thread(target=work, daemon=True) for _ in range(AT_ONCE)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(max(0.0, until - time.monotonic()))
    silent = _unknown(f"There was no answer within {seconds:g} s.")
    return {each.name: counted.get(each.name, silent) for each in found}


def _count(
    policy: Policy, targets: Mapping[str, Target], held: Held, now: datetime, seconds: float
) -> Document:
    kind = kind_of(policy)
    if kind is None:
        return _unknown(None)
    if kind not in targets:
        return _without_target(KINDS[kind], is_looking=bool(targets.keys() & TENDED.keys()))
    try:
        source = overdue.Source(targets[kind], policy, now, held(policy))
        counted = overdue.overdue(source, seconds, ENOUGH)
    except TendError as error:
        return _unknown(safe_text(error))
    except Exception as error:  # noqa: BLE001 - one broken policy must not hide the others
        return _unknown(f"This could not be counted: {safe_text(error)}")
    oldest = counted.oldest
    age = int((now - oldest).total_seconds()) if oldest is not None else None
    return {
        "overdue": {
            "count": counted.count,
            "at_least": counted.at_least,
            "oldest": stamp(oldest) if oldest is not None else None,
            "oldest_age_seconds": age,
        },
        "problem": None,
    }


def _without_target(kind: TargetKind, *, is_looking: bool) -> Document:
    """A site that has another kind of database lacks nothing; one without any is not set up."""
    if not is_looking:
        return _unknown(kind.unset)
    return {"state": "no_target", "next_fire": None, **_unknown(None)}


def _unknown(problem: str | None) -> Document:
    return {"overdue": None, "problem": problem}
