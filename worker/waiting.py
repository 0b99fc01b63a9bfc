"""What a run waits for, in words: a waiting run always says so."""

from datetime import datetime

from sqlalchemy import select
from sqlalchemy.orm import Session

from policies.errors import PolicyError
from worker import claims, database, four_eyes, guards, runs, stops
from worker.audit.search import Search, as_json, search
from worker.heartbeat import last_seen
from worker.logs import safe_text
from worker.reconciler import WORKER_GONE
from worker.registry import frozen_policy
from worker.states import UNFINISHED, State
from worker.tables import Chunk, Run


def waiting_for(session: Session, run: Run) -> str | None:
    """One phrase, or None when the run is over or being worked on."""
    if run.state not in UNFINISHED:
        return _a_person(session, run)
    unreadable = _unreadable(run)
    if unreadable is not None:
        return unreadable
    moment = database.now(session)
    if run.state == State.QUEUED and run.not_before is not None and run.not_before > moment:
        return f"its start at {run.not_before:%Y-%m-%d %H:%M:%S} UTC"
    other = runs.busy(session, run) if run.state == State.QUEUED else None
    if other is not None:
        return f"r-{other.id} ({other.policy}), which is {other.state}"
    if _in_work(session, run, moment):
        return None
    return _stopped(session, run) or _rival(session, run) or _worker(session, run, moment)


def _unreadable(run: Run) -> str | None:
    """Workers of this version leave such a run alone, whatever else it waits for."""
    try:
        frozen_policy(run.policy_text)
    except PolicyError as error:
        return f"a worker of the Tend that made it, for {safe_text(error)}"
    return None


def _a_person(session: Session, run: Run) -> str | None:
    match run.state:
        case State.PLANNED:
            return _planned(run)
        case State.AWAITING_APPROVAL:
            return _approval(run)
        case State.REFUSED:
            return _override(run)
        case State.PAUSED:
            return _paused(session, run)
        case State.FAILED:
            return f"`tend resume r-{run.id}`, `tend undo` or `tend cancel`"
        case _:
            return None


def _paused(session: Session, run: Run) -> str:
    """Who paused it and why stands in the last entry of that kind."""
    wanted = Search(run=run.id, action="pause_requested", limit=1)
    (entry,) = search(session, wanted)
    since, why = f"{entry.at:%Y-%m-%d %H:%M:%S} UTC", as_json(entry)["body"]["detail"]["reason"]
    return f"`tend resume r-{run.id}`; paused by {entry.actor} at {since}: {why}"


def _approval(run: Run) -> str:
    who = four_eyes.names(run)
    return f"approval by someone other than {who}: `tend approve r-{run.id}`, or `tend reject`"


def _override(run: Run) -> str | None:
    """A refused plan is over, unless somebody overrides the guards in time."""
    left = guards.refusing(run)
    if run.key is None or not left:
        return None
    return f"nothing, unless `tend override r-{run.id} --guard {left[0]}`"


def _planned(run: Run) -> str:
    if run.trigger == "schedule":
        return f"nothing: it only observes until `tend enable {run.policy}`"
    return f"`tend apply r-{run.id}`"


def _in_work(session: Session, run: Run, moment: datetime) -> bool:
    if run.lease_until is not None and run.lease_until > moment:
        return True
    return claims.is_at_work(session, run.id)


def _stopped(session: Session, run: Run) -> str | None:
    if run.state not in claims.WORKING.values():
        return None
    stop = stops.of_run(session, run)
    return stop.why if stop is not None else None


def _rival(session: Session, run: Run) -> str | None:
    working = run.state in claims.WORKING.values()
    other = claims.rival_at_work(session, run) if working else None
    return f"r-{other.id} ({other.policy}), which is {other.state}" if other is not None else None


def _worker(session: Session, run: Run, moment: datetime) -> str:
    if run.inline:
        return f"its inline process; if that has ended, `tend resume r-{run.id}` continues"
    retry = session.execute(
        select(Chunk.not_before, Chunk.error)
        .where(Chunk.run_id == run.id, Chunk.state == "pending", Chunk.not_before > moment)
        .order_by(Chunk.not_before)
        .limit(1)
    ).first()
    if retry is not None:
        return f"its next try at {retry[0]:%H:%M:%S} UTC, after: {retry[1]}"
    seen = last_seen(session, "worker")
    if seen is None:
        return "a worker; none is running, start one with `tend worker`"
    if seen < moment - WORKER_GONE:
        return f"a worker; none seen since {seen:%Y-%m-%d %H:%M:%S} UTC"
    if not _scheduler_lives(session, moment):
        return "a scheduler; none is running to ring the workers, start one with `tend scheduler`"
    return "a free worker"


def _scheduler_lives(session: Session, moment: datetime) -> bool:
    seen = last_seen(session, "scheduler")
    return seen is not None and seen >= moment - WORKER_GONE
