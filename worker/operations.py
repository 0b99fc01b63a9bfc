"""What a person may ask for: the same operations for the command line, the console and the API.

Each is one control transaction that either happened or did not; the work itself is rung for.
"""

import re
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from policies.models import Policy
from worker import asking, claims, database, four_eyes, runs, settling
from worker.audit import entries
from worker.database import Database
from worker.engine import Engine
from worker.errors import (
    ArchiveExpired,
    ForbiddenArrow,
    GuardRefused,
    UsageError,
)
from worker.identity import Actor
from worker.masking import contains_email
from worker.picking import Selection
from worker.registry import frozen_policy, is_task
from worker.states import State
from worker.tables import Chunk, Run, Switch
from worker.tasks.work import is_task_run

_RESUMED = {
    "plan": State.QUEUED,
    "apply": State.APPLYING,
    "settle": State.UNDOING,
    "undo": State.UNDOING,
    "only": State.UNDOING,
}


@dataclass(frozen=True)
class Person:
    """Who asks and why; every change needs both."""

    actor: Actor
    reason: str

    def __post_init__(self) -> None:
        if not re.search(r"\w", self.reason):
            raise UsageError("--reason is empty; say in a few words why, for those who read on.")
        if contains_email(self.reason):
            raise UsageError(
                "--reason contains an e-mail address; entries are kept for years and hold no "
                "personal data. Name a ticket or a case instead."
            )


def person(actor: Actor, reason: str, on_behalf_of: str | None) -> Person:
    """Whoever asks; refused where entries would name somebody else's personal data."""
    if on_behalf_of is not None and not on_behalf_of.strip():
        raise UsageError("--on-behalf-of is empty; name somebody, or leave it out.")
    if on_behalf_of is not None and contains_email(on_behalf_of):
        raise UsageError(
            "--on-behalf-of contains an e-mail address; entries are kept for years and hold no "
            "personal data. Give a name that your team knows instead."
        )
    return Person(replace(actor, on_behalf_of=on_behalf_of), reason)


def request(
    db: Database,
    policy: Policy,
    environment: str,
    person: Person,
    *,
    apply_after_plan: bool,
    inline: bool,
    narrowing: dict[str, Any],
) -> int:
    """Queue a run of a policy by hand and return its id."""
    if narrowing.get("where") is not None and is_task(policy):
        raise UsageError(
            f"{policy.name} performs tasks, and no selector finds those; leave --where out."
        )
    if apply_after_plan and policy.approval == "required":
        four_eyes.must_be_proven(person.actor, environment)
    with db.transaction() as session:
        wanted = runs.Request(
            policy=policy,
            environment=environment,
            trigger="manual",
            actor=person.actor,
            reason=person.reason,
            apply_after_plan=apply_after_plan,
            inline=inline,
            narrowing=narrowing,
        )
        return runs.create(session, wanted).id


def apply(db: Database, run_id: int, today: Policy, person: Person, *, inline: bool) -> State:
    """Apply a plan exactly as it was frozen; returns the state the run is in now."""
    with db.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        if run.state == State.REFUSED:
            raise GuardRefused(
                f"r-{run.id} was refused by a guard: {run.refusal}; `tend override r-{run.id}` "
                "asks another person to approve it all the same."
            )
        asking.must_accept(run, "apply")
        asking.must_be_of_todays_text(run, today)
        asking.must_be_in_time(session, run)
        if today.approval == "required":
            four_eyes.must_be_proven(person.actor, run.environment)
            four_eyes.askers_must_be_proven(run)
        asking.must_be_alone(session, run)
        _say(session, run, person, "apply_requested")
        run.asked_by = four_eyes.with_asker(run, person.actor)
        run.inline = inline
        session.flush()
        runs.go_on(session, run, person.actor, frozen_policy(run.policy_text))
        return State(run.state)


def cancel(engine: Engine, run_id: int, person: Person) -> None:
    """End a run. No batch commits after this returns, and its counts are those of the fences."""
    with engine.database.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        asking.must_accept(run, "cancel")
        _say(session, run, person, "cancel_requested")
        moment = database.now(session)
        runs.move(session, run, State.CANCELLED, person.actor, finished_at=moment)
    settling.settle(engine, run_id, person.actor)


def pause(db: Database, run_id: int, person: Person) -> None:
    """Stop a run, or its undo, at the next batch until somebody resumes it."""
    with db.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        asking.must_accept(run, "pause")
        _say(session, run, person, "pause_requested")
        runs.move(session, run, State.PAUSED, person.actor)


def resume(db: Database, run_id: int, person: Person, *, inline: bool) -> None:
    """Continue a run that was paused, failed, was interrupted, or lost its inline process."""
    with db.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        asking.must_accept(run, "resume")
        if run.key is None and run.state in {State.PAUSED, State.FAILED} and run.phase != "plan":
            raise ArchiveExpired(
                f"r-{run.id} waited beyond its policy's `undo`: its plan and its archive were "
                f"destroyed; end it with `tend cancel r-{run.id}` and plan anew."
            )
        _say(session, run, person, "resume_requested")
        if run.state in {State.PAUSED, State.FAILED}:
            asking.must_be_alone(session, run)
            _reopen(session, run)
            to = _RESUMED[run.phase]
            afresh: dict[str, Any] = {
                "error": None,
                "finished_at": None,
                "rescues": 0,
                "lease_until": None,
            }
            runs.move(session, run, to, person.actor, **afresh)
        run.inline = inline
        if not inline:
            writers = frozen_policy(run.policy_text).writers
            runs.ring(session, run, database.now(session), rings=writers)


def undo(
    db: Database, run_id: int, person: Person, *, inline: bool, only: Selection | None = None
) -> None:
    """Take a run back: pause the policy's schedule now; fences and records are the worker's.

    With `only`, these records alone; the run is then what it was, and the rest can follow.
    """
    with db.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        may_undo(run, "undo" if only is None else "undo --only")
        if run.key is None:
            raise ArchiveExpired(
                f"The archive of r-{run.id} expired and was destroyed; it cannot be taken back."
            )
        asking.must_be_alone(session, run)
        detail = {} if only is None else {"records": len(only.picked)}
        _say(session, run, person, "undo_requested", **detail)
        if only is not None:
            _cut(session, run, only)
        runs.move(
            session,
            run,
            State.UNDOING,
            person.actor,
            phase="settle" if only is None else "only",
            inline=inline,
            finished_at=None if only is None else run.finished_at,
            mirrored_at=None,
            error=None,
        )
        _pause_schedule(session, run, person)
        if not inline:
            runs.ring(session, run, database.now(session))


def may_undo(run: Run, command: str) -> None:
    """Raise `ForbiddenArrow` unless there may be something to take back."""
    asking.must_accept(run, command)
    if is_task_run(run):
        raise ArchiveExpired(
            f"r-{run.id} performed tasks, of which there is no archive; it cannot be taken back."
        )
    if run.applying_at is None:
        raise ForbiddenArrow(f"r-{run.id} is {run.state} and changed nothing; no need to undo.")


def _cut(session: Session, run: Run, only: Selection) -> None:
    """An undo chunk for each record."""
    number = settling.undo_chunks(session, run.id)
    if number != only.undo_chunks:
        raise ForbiddenArrow(
            f"Somebody else has taken back records of r-{run.id} meanwhile; look again with "
            f"`tend undo r-{run.id} --plan`."
        )
    for place, one in enumerate(only.picked):
        if one.again is not None:
            session.get_one(Chunk, (run.id, "undo", one.again)).judged_again = True
        session.add(
            Chunk(
                run_id=run.id,
                direction="undo",
                number=number + place,
                source=one.source,
                items=1,
                payload=one.payload,
            )
        )


def reveal(db: Database, run_id: int, person: Person, outcome: str | None) -> None:
    """Put on record who looks at a run's values, and why, before they are shown."""
    with db.transaction() as session:
        run = runs.get(session, run_id)
        _say(session, run, person, "records_revealed", outcome=outcome)


def enable(db: Database, policy: Policy, person: Person) -> None:
    """From now on scheduled fires of this very text change data, and the schedule is not paused."""
    with db.transaction() as session:
        switch = _switch(session, policy.name, person)
        switch.enabled_version = policy.version
        switch.enabled_text = policy.text
        switch.schedule_paused = False
        _record_switch(session, policy.name, person, "policy_enabled", policy.version)


def disable(db: Database, policy: Policy, person: Person) -> None:
    """Scheduled fires only plan and report again."""
    with db.transaction() as session:
        switch = _switch(session, policy.name, person)
        switch.enabled_version = None
        _record_switch(session, policy.name, person, "policy_disabled", policy.version)


def interrupted(engine: Engine, run_id: int) -> None:
    """The person who ran this inline pressed Ctrl-C: leave a run that can be resumed."""
    with engine.database.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        if run.state in {State.PLANNING, State.APPLYING, State.VERIFYING, State.UNDOING}:
            claims.fail_run(session, run, engine.actor, "interrupted by the person who ran it")


def _say(session: Session, run: Run, person: Person, action: str, **detail: Any) -> None:
    said = {"reason": person.reason, **detail}
    entries.append(session, action, person.actor, run=run, detail=said)


def _reopen(session: Session, run: Run) -> None:
    """What failed may be tried again, with its retries and rescues counted anew."""
    for chunk in session.scalars(select(Chunk).where(Chunk.run_id == run.id)):
        if chunk.state == "failed":
            chunk.state = "pending"
        chunk.retries = chunk.rescues = 0
        chunk.not_before = None


def _pause_schedule(session: Session, run: Run, person: Person) -> None:
    """The next fire would do again what was just taken back."""
    switch = _switch(session, run.policy, person)
    if not switch.schedule_paused:
        switch.schedule_paused = True
        entries.append(
            session,
            "schedule_paused",
            person.actor,
            run=run,
            detail={"reason": person.reason},
        )


def _switch(session: Session, policy: str, person: Person) -> Switch:
    moment = database.now(session)
    switch = session.get(Switch, policy, with_for_update=True)
    if switch is None:
        switch = Switch(policy=policy, schedule_paused=False)
        session.add(switch)
    switch.actor = person.actor.name
    switch.reason = person.reason
    switch.at = moment
    return switch


def _record_switch(
    session: Session, policy: str, person: Person, action: str, version: str
) -> None:
    entries.append(
        session,
        action,
        person.actor,
        policy=policy,
        detail={"reason": person.reason, "policy_version": version},
    )
