"""Pulling and releasing the brake, and what that stops and what it does not."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import delete, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from worker import brake, claims, database, runs, stops
from worker.audit import entries
from worker.brake import EVERY_POLICY
from worker.database import Database
from worker.errors import UsageError
from worker.operations import Person
from worker.registry import any_job_of, frozen_policy
from worker.states import UNFINISHED, State
from worker.tables import Brake, Run


@dataclass(frozen=True)
class Affected:
    """A run that is not over, and whether the brakes that are pulled now stop it."""

    run_id: int
    policy: str
    state: State
    is_stopped: bool
    is_at_work: bool
    """A batch that had begun may still commit; no further one does."""
    is_security: bool


def pull(db: Database, policy: str | None, person: Person, *, everything: bool) -> None:
    """Stop one policy, or all of them, before the next batch.

    Pulling again says anew who and why, and never narrows: `everything` stays.
    """
    scope = policy or EVERY_POLICY
    with db.transaction() as session:
        pulled = _row(session, scope)
        pulled.everything = pulled.everything or everything
        pulled.actor = person.actor.name
        pulled.reason = person.reason
        pulled.at = database.now(session)
        entries.append(
            session,
            "brake_pulled",
            person.actor,
            policy=policy,
            detail={"reason": person.reason, "everything": everything},
        )


def release(db: Database, policy: str | None, person: Person, *, everything: bool) -> None:
    """Let go one brake, or with `everything` each that is pulled, and ring for what it stopped."""
    scope = policy or EVERY_POLICY
    with db.transaction() as session:
        released = [each for each in pulled(session) if everything or each.policy == scope]
        if not released:
            which = f"policy {policy}" if policy else "all policies" if not everything else "any"
            raise UsageError(f"No brake is pulled for {which}; `tend brake show` lists what is.")
        for each in released:
            session.execute(delete(Brake).where(Brake.policy == each.policy))
            entries.append(
                session,
                "brake_released",
                person.actor,
                policy=None if each.policy == EVERY_POLICY else each.policy,
                detail={"reason": person.reason, "pulled_by": each.actor},
            )
        _wake(session, database.now(session))


def pulled(session: Session) -> Sequence[Brake]:
    """Every brake that is pulled, the one for all policies first."""
    return session.scalars(select(Brake).order_by(Brake.policy)).all()


def affected(session: Session) -> list[Affected]:
    """Every run that is not over."""
    unfinished = select(Run).where(Run.state.in_(UNFINISHED)).order_by(Run.id)
    return [_affected(session, run) for run in session.scalars(unfinished).all()]


def _affected(session: Session, run: Run) -> Affected:
    is_security = any_job_of(frozen_policy(run.policy_text)).security
    stopped_by = brake.standing(session, run.policy, is_security=is_security)
    return Affected(
        run_id=run.id,
        policy=run.policy,
        state=State(run.state),
        is_stopped=run.state in claims.WORKING.values() and stopped_by is not None,
        is_at_work=claims.is_at_work(session, run.id),
        is_security=is_security,
    )


def _row(session: Session, scope: str) -> Brake:
    found = session.get(Brake, scope, with_for_update=True)
    if found is None:
        found = Brake(policy=scope, everything=False, actor="", reason="", at=database.now(session))
        try:
            with session.begin_nested():
                session.add(found)
        except IntegrityError:  # somebody else pulled it in the same moment
            found = session.get_one(Brake, scope, with_for_update=True)
    return found


def _wake(session: Session, moment: datetime) -> None:
    """Ring for every run that may go on now, once for each of its writers."""
    waiting = select(Run).where(Run.state.in_(claims.WORKING.values()), Run.inline.is_(False))
    for run in session.scalars(waiting).all():
        if stops.of_run(session, run) is None:
            writers = frozen_policy(run.policy_text).writers
            runs.ring(session, run, moment, rings=writers)
