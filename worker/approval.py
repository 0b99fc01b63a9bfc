"""Approval: another person's yes or no, and the override that asks for it after a guard's no."""

from sqlalchemy.orm import Session

from policies.models import Policy
from worker import asking, database, four_eyes, guards, planner, runs
from worker.audit import entries
from worker.database import Database
from worker.errors import NotAllowed, UsageError
from worker.operations import Person
from worker.registry import frozen_policy
from worker.states import State
from worker.tables import Run


def approve(db: Database, run_id: int, today: Policy, person: Person, *, inline: bool) -> None:
    """Let a plan that waits go on exactly as it was frozen."""
    with db.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        asking.must_accept(run, "approve")
        four_eyes.must_be_another(session, run, person.actor)
        asking.must_be_in_time(session, run)
        asking.must_be_of_todays_text(run, today)
        _must_be_wanted_still(session, run)
        asking.must_be_alone(session, run)
        _decide(session, run, person, "approve_requested")
        run.inline = inline
        session.flush()
        runs.begin(session, run, person.actor, frozen_policy(run.policy_text))


def reject(db: Database, run_id: int, person: Person) -> None:
    """End a plan that waits; nothing was changed."""
    with db.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        asking.must_accept(run, "reject")
        four_eyes.must_be_proven(person.actor, run.environment)
        _decide(session, run, person, "reject_requested")
        moment = database.now(session)
        runs.move(session, run, State.REJECTED, person.actor, finished_at=moment)


def override(db: Database, run_id: int, guard: str, today: Policy, person: Person) -> None:
    """Ask another person to approve this very plan although one of its guards tripped.

    The run waits for approval once each guard that tripped is overridden; all others stay.
    """
    with db.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        asking.must_accept(run, "override")
        four_eyes.must_be_proven(person.actor, run.environment)
        four_eyes.askers_must_be_proven(run)
        _must_have_tripped(run, guard)
        asking.must_be_in_time(session, run)
        asking.must_be_of_todays_text(run, today)
        said = {"guard": guard, "reason": person.reason}
        entries.append(session, "override_requested", person.actor, run=run, detail=said)
        run.overrides = {**run.overrides, guard: {"actor": person.actor.name, **said}}
        run.asked_by = four_eyes.with_asker(run, person.actor)
        session.flush()
        if not guards.refusing(run):
            cause = f"{' and '.join(run.overrides)} overridden: {run.refusal}"
            runs.park(session, run, person.actor, cause)


def _must_have_tripped(run: Run, guard: str) -> None:
    if run.digest is None:
        raise UsageError(f"r-{run.id} was refused before it had a plan: {run.refusal}.")
    if guard in guards.refusing(run):
        return
    if guard in run.overrides:
        said = run.overrides[guard]
        raise UsageError(f"{guard} of r-{run.id} was overridden by {said['actor']} already.")
    refusing = " and ".join(guards.refusing(run))
    raise UsageError(f"{guard} did not refuse r-{run.id}; {refusing} did.")


def _must_be_wanted_still(session: Session, run: Run) -> None:
    """What nobody but the schedule asked for goes on only if its policy is still enabled."""
    if not run.asked_by and not planner.still_enabled(session, run):
        raise NotAllowed(
            f"{run.policy} was disabled after r-{run.id} was planned: enable it first, or "
            f"`tend reject r-{run.id}`."
        )


def _decide(session: Session, run: Run, person: Person, action: str) -> None:
    detail = {"reason": person.reason, "account": person.actor.account}
    entries.append(session, action, person.actor, run=run, detail=detail)
    run.decided_by = person.actor.name
    run.decision = person.reason
