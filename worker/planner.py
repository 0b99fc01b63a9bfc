"""Planning: a read-only scan becomes a frozen plan, and the guards judge it whole."""

import hashlib
import json
import time
from collections.abc import Iterator
from datetime import datetime
from functools import partial
from itertools import islice
from typing import Any
from uuid import uuid4

import bson
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from jobs.base import Item, PlanContext
from policies.selectors import AllOf, cutoffs
from worker import claims, database, guards, runs
from worker.claims import LEASE
from worker.engine import Engine, Work, thaw
from worker.errors import ClaimLost
from worker.keys import RunKey
from worker.states import State
from worker.survey import Survey
from worker.tables import Chunk, Run

MAX_PAYLOAD = 8_000_000
"""Bytes of keys in one chunk; keys can be documents."""
MAX_RESCUES = 3


def begin(engine: Engine, run_id: int) -> Run | None:
    """Claim a queued run for planning, or one whose planner is gone; None when it must wait."""
    with engine.database.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        moment = database.now(session)
        if run.state == State.PLANNING:
            if run.lease_until is not None and run.lease_until > moment:
                return None
            if run.rescues == MAX_RESCUES:
                error = f"planning lost its worker {MAX_RESCUES + 1} times"
                runs.move(session, run, State.FAILED, engine.actor, error=error)
                return None
            run.rescues += 1
        elif not _may_begin(session, run, moment):
            return None
        else:
            runs.move(session, run, State.PLANNING, engine.actor, started_at=moment)
        session.execute(delete(Chunk).where(Chunk.run_id == run.id))
        run.as_of = engine.clock()
        run.key = engine.keyring.wrap(RunKey.new())
        run.lease_token = uuid4().hex
        run.lease_until = moment + LEASE
        return run


def _may_begin(session: Session, run: Run, moment: datetime) -> bool:
    """Queued, past its jitter, and no other run of the policy is at work."""
    is_due = run.not_before is None or run.not_before <= moment
    return run.state == State.QUEUED and is_due and runs.busy(session, run) is None


def plan(engine: Engine, run: Run, *, scan: bool = False) -> None:
    """Scan, store the chunks as they come, judge, and move to `planned` or `refused`."""
    started = time.monotonic()
    work = thaw(run, engine.keyring)
    moments = cutoffs(work.selector, work.as_of)
    dated_by = work.options.dated_by or next(iter(moments), None)
    survey = Survey(run.id, dated_by)
    context = PlanContext(
        work.as_of, engine.target.reader(work.options.collection, work.as_of, scan=scan)
    )
    found = work.job.plan(context, work.policy, work.selector)
    digest = hashlib.sha256(f"{run.policy_version} {work.as_of.isoformat()}".encode())
    for number, payload, size in _chunks(_surveyed(work, survey, found), work.policy.chunk):
        digest.update(payload)
        sealed = work.key.seal(payload, payload_name(run, number))
        _store(engine, run, Chunk(direction="apply", number=number, items=size, payload=sealed))
    population = engine.target.population(work.options.collection)
    preview = {
        **survey.as_json(),
        "cutoffs": {name: moment.isoformat() for name, moment in moments.items()},
        "guards": [
            verdict.as_json()
            for verdict in guards.judge(work.policy.guards, survey.planned, population)
        ],
        "warnings": _warnings(engine, work),
        "estimate": _estimate(engine, work, survey.planned),
        "seconds": round(time.monotonic() - started, 3),
    }
    sample = json.dumps(survey.sample_as_json()).encode()
    _freeze(
        engine,
        run,
        work,
        planned=survey.planned,
        population=population,
        cutoff=next(iter(moments.values()), None),
        digest=digest.hexdigest(),
        preview=preview,
        sample=work.key.seal(sample, f"{run.token}/sample"),
        selector=work.selector.model_dump(mode="json"),
    )


def payload_name(run: Run, number: int) -> str:
    return f"{run.token}/plan/{number}"


def _surveyed(work: Work, survey: Survey, found: Iterator[Item]) -> Iterator[Item]:
    decide = partial(work.job.change, work.policy)
    limit = work.run.narrowing.get("limit")
    for item in islice(found, limit):
        survey.add(item, decide(item.fields))
        yield item


def _chunks(found: Iterator[Item], size: int) -> Iterator[tuple[int, bytes, int]]:
    """Number, keys as BSON and count of each chunk; a key that comes twice in one counts once."""
    number = 0
    pending: dict[bytes, Any] = {}
    weight = 0
    for item in found:
        encoded = bson.encode({"": item.key})
        pending[encoded] = item.key
        weight += len(encoded)
        if len(pending) == size or weight > MAX_PAYLOAD:
            yield number, bson.encode({"keys": list(pending.values())}), len(pending)
            number, weight = number + 1, 0
            pending.clear()
    if pending:
        yield number, bson.encode({"keys": list(pending.values())}), len(pending)


def _store(engine: Engine, run: Run, chunk: Chunk) -> None:
    with engine.database.transaction() as session:
        _renew(session, run)
        chunk.run_id = run.id
        session.add(chunk)


def _renew(session: Session, run: Run) -> None:
    """Another planner, or a person who ended the run, takes the plan away from this one."""
    until = database.now(session) + LEASE
    renewal = (
        update(Run)
        .where(Run.id == run.id, Run.state == State.PLANNING, Run.lease_token == run.lease_token)
        .values(lease_until=until)
    )
    if database.rows_changed(session, renewal) != 1:
        raise ClaimLost(f"The plan of r-{run.id} was taken over or ended; this one stops.")


def _warnings(engine: Engine, work: Work) -> list[dict[str, Any]]:
    """How many planned records look like each of the policy's warnings."""
    found = []
    for warning in work.options.warnings:
        selector = AllOf(all=(work.selector, warning.when))
        count = engine.target.count(work.options.collection, selector, work.as_of)
        if count:
            found.append({"records": count, "say": warning.say})
    return found


def _estimate(engine: Engine, work: Work, planned: int) -> dict[str, Any]:
    """Archive bytes before compression, and seconds at the policy's own past rate if it has one."""
    with engine.database.transaction() as session:
        past = session.execute(
            select(Run)
            .where(Run.policy == work.run.policy, Run.state == State.SUCCEEDED)
            .order_by(Run.id.desc())
            .limit(1)
        ).scalar()
        changed = claims.totals(session, past.id).changed if past else 0
    seconds = None
    if past and changed and past.finished_at and past.applying_at:
        took = (past.finished_at - past.applying_at).total_seconds()
        seconds = round(planned * took / changed, 1)
    size = engine.target.average_size(work.options.collection)
    return {"seconds": seconds, "archive_bytes_at_most": planned * size}


def _freeze(engine: Engine, run: Run, work: Work, **columns: Any) -> None:
    """The plan is whole: store what it says, and take the arrow its guards and policy allow."""
    verdicts = guards.judge(work.policy.guards, columns["planned"], columns["population"])
    refused = guards.refusal(verdicts)
    actor = engine.actor
    with engine.database.transaction() as session:
        _renew(session, run)
        current = runs.get(session, run.id, lock=True)
        expires = database.now(session) + work.policy.plan_expires.delta
        free = {"expires_at": expires, "lease_token": None, "lease_until": None}
        for name, value in {**columns, **free}.items():
            setattr(current, name, value)
        facts = {name: columns[name] for name in ("planned", "population", "digest")}
        facts["cutoffs"] = columns["preview"]["cutoffs"]
        facts["selector_digest"] = hashlib.sha256(
            json.dumps(columns["selector"], sort_keys=True).encode()
        ).hexdigest()
        if refused:
            runs.move(session, current, State.REFUSED, actor, detail=facts, refusal=refused)
            return
        runs.move(session, current, State.PLANNED, actor, detail=facts)
        if current.apply_after_plan:
            runs.go_on(session, current, actor, work.policy)
