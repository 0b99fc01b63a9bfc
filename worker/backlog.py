"""How much is overdue, counted now and then by one of the workers and kept for all who ask."""

from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import delete, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from policies.models import Policy
from worker import database as control_database
from worker import holds, status
from worker.chores import Chore
from worker.database import Database
from worker.engine import Engine
from worker.overdue import due_before
from worker.registry import Policies
from worker.settings import Settings
from worker.tables import Backlog, ScheduleCursor
from worker.targets.kinds import kind_of, served

LOOK_SECONDS = 60
EVERY = timedelta(minutes=15)
SECONDS = 120.0
"""Longer than a person waits for `tend status`: nobody waits for this."""
_NAME = "backlog of all"
"""No policy can have this name."""


def chores(settings: Settings, engine: Engine) -> Iterator[Chore]:
    """The chore of a worker."""

    def look() -> None:
        if _taken(engine.database):
            loaded = Policies.load(settings.policy_directories)
            count(engine, served(settings, [each.policy for each in loaded]))

    yield Chore("backlog", look, LOOK_SECONDS)


def count(engine: Engine, policies: Sequence[Policy]) -> None:
    """Count what each policy would find now; what cannot be counted says why."""
    counting = [policy for policy in policies if kind_of(policy) is not None]
    with engine.database.transaction() as session:
        moment = control_database.now(session)
        held = partial(holds.protected, engine.subjects, stands=holds.standing(session))
    found = status.counted_of(counting, engine.targets, held, moment, SECONDS)
    with engine.database.transaction() as session:
        session.execute(delete(Backlog))
        session.add_all(_row(each, found[each.name], moment) for each in counting)


def _row(policy: Policy, found: dict[str, Any], moment: datetime) -> Backlog:
    overdue = found["overdue"] or {"count": None, "at_least": False, "oldest": None}
    late = None
    if overdue["oldest"] is not None:
        oldest = datetime.fromisoformat(overdue["oldest"])
        late = max(0, int((due_before(policy, moment) - oldest).total_seconds()))
    return Backlog(
        policy=policy.name,
        at=moment,
        records=overdue["count"],
        at_least=overdue["at_least"],
        late_seconds=0 if overdue["count"] == 0 else late,
        problem=found["problem"],
    )


def _taken(db: Database) -> bool:
    """Whether it is time, and nobody else has taken the turn: compare-and-set on its moment."""
    try:
        with db.transaction() as session:
            moment = control_database.now(session)
            cursor = session.get(ScheduleCursor, _NAME)
            if cursor is None:
                session.add(ScheduleCursor(policy=_NAME, schedule="15m", through=moment))
                return True
            return cursor.through <= moment - EVERY and _moved(session, cursor.through, moment)
    except IntegrityError:
        return False  # another worker began at the same moment


def _moved(session: Session, before: datetime, moment: datetime) -> bool:
    turn = update(ScheduleCursor).where(
        ScheduleCursor.policy == _NAME, ScheduleCursor.through == before
    )
    return control_database.rows_changed(session, turn.values(through=moment)) == 1
