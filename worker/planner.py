"""Planning: a read-only scan becomes a frozen plan, and the guards judge it whole."""

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from itertools import chain
from typing import Any
from uuid import uuid4

import bson
import structlog
from sqlalchemy import delete, select, update
from sqlalchemy.orm import Session

from jobs.base import Change, Item, PlanContext
from policies.models import Policy
from policies.selectors import AllOf, Selector, cutoffs
from worker import claims, database, guards, holds, leases, runs
from worker.claims import LEASE
from worker.engine import Engine, Work, thaw
from worker.errors import ClaimLost, DeadlineExceeded, Draining
from worker.keys import RunKey
from worker.registry import frozen_policy
from worker.states import State
from worker.survey import Survey
from worker.tables import Chunk, Run, Switch
from worker.targets.page import keys_of, regrouped
from worker.targets.record_key import identity

log = structlog.get_logger()

MAX_PAYLOAD = 8_000_000
"""Bytes of keys in one chunk; keys can be documents."""
MAX_RESCUES = 3
COUNTED = 100_000
"""Up to here a population is always counted to the end."""


def begin(engine: Engine, run_id: int) -> Run | None:
    """Claim a queued run for planning, or one whose planner is gone; None when it must wait."""
    with engine.database.transaction() as session:
        run = runs.get(session, run_id, lock=True)
        moment = database.now(session)
        if run.state == State.PLANNING:
            if run.lease_until is not None and run.lease_until > moment:
                return None
            if run.lease_until is not None and run.rescues == MAX_RESCUES:
                error = f"planning lost its worker {MAX_RESCUES + 1} times"
                runs.move(session, run, State.FAILED, engine.actor, error=error)
                return None
            run.rescues += run.lease_until is not None
        elif not _may_begin(session, run, moment):
            return None
        else:
            runs.move(session, run, State.PLANNING, engine.actor, started_at=moment)
        session.execute(delete(Chunk).where(Chunk.run_id == run.id))
        run.as_of = engine.clock()
        run.key = engine.keyring.wrap(RunKey.new())
        run.expires_at = moment + frozen_policy(run.policy_text).plan_expires.delta
        run.lease_token = uuid4().hex
        run.lease_until = moment + LEASE
        return run


def _may_begin(session: Session, run: Run, moment: datetime) -> bool:
    """Queued, past its jitter, and no other run of the policy is at work."""
    is_due = run.not_before is None or run.not_before <= moment
    return run.state == State.QUEUED and is_due and runs.busy(session, run, lock=True) is None


def plan(engine: Engine, run: Run, *, scan: bool = False) -> None:
    """Scan, store the chunks as they come, judge, and move to `planned` or `refused`."""
    started = time.monotonic()
    work = thaw(run, engine.keyring)
    moments = cutoffs(work.selector, work.as_of)
    dated_by = work.options.dated_by or next(iter(moments), None)
    survey = Survey(run.id, dated_by)
    target = engine.target_of(work.options)
    target.ping()
    if work.options.quarantines:
        target.check_quarantine(work.options.collection)
    parents = target.parents(work.options.collection, work.selector)
    stands = holds.now(engine.database)
    held = holds.protected(engine.subjects, work.policy, stands)
    reader = target.reader(work.options.collection, work.as_of, scan=scan, held=held)
    held_beside = holds.beside(engine.subjects, work.policy, stands)
    context = PlanContext(work.as_of, reader, held_beside)
    found = work.job.plan(context, work.policy, work.selector)
    with lease_kept(engine, run):
        digest = _store_plan(engine, work, survey, found)
        population, is_exact = _population(engine, work, survey.planned)
    preview = {
        **survey.as_json(),
        "population_is_exact": is_exact,
        "cutoffs": {name: moment.isoformat() for name, moment in moments.items()},
        "guards": [
            verdict.as_json()
            for verdict in guards.judge(
                work.policy.guards, survey.planned, population, survey.children
            )
        ],
        "held": _held(engine, work, held),
        "parents": parents,
        "reported": target.reported(work.options.collection, work.selector, work.as_of),
        "warnings": _warnings(engine, work),
        "estimate": _estimate(engine, work, survey),
        "seconds": round(time.monotonic() - started, 3),
    }
    sample = json.dumps(survey.sample_as_json()).encode()
    freeze(
        engine,
        run,
        work.policy,
        planned=survey.planned,
        population=population,
        cutoff=next(iter(moments.values()), None),
        digest=digest,
        preview=preview,
        sample=work.key.seal(sample, f"{run.token}/sample"),
        selector=work.selector.model_dump(mode="json"),
    )


def _population(engine: Engine, work: Work, planned: int) -> tuple[int, bool]:
    """The population, and whether it was counted to the end.

    A large one is the target's own books' word, which a crash of the server can leave wrong. So it
    is counted as far as `max_percent` needs: a guard that passes passes on what was counted.
    """
    target, collection = engine.target_of(work.options), work.options.collection
    books = target.population_now(collection)
    if books <= COUNTED:
        with suppress(DeadlineExceeded):
            return target.population(collection), True
    percent = work.policy.guards.max_percent
    enough = math.ceil(100 * planned / percent) + 1 if percent else planned + 1
    counted = target.population_at_least(collection, enough)
    return (counted, True) if counted < enough else (max(counted, books), False)


def _store_plan(engine: Engine, work: Work, survey: Survey, found: Iterator[Sequence[Item]]) -> str:
    """Store the chunks as their keys stream by, and return the digest of all of them."""
    run = work.run
    digest = hashlib.sha256(f"{run.policy_version} {work.as_of.isoformat()}".encode())
    payloads = chain.from_iterable(map(_payloads, _pages(work, survey, found)))
    for number, (payload, size) in enumerate(payloads):
        digest.update(payload)
        sealed = work.key.seal(payload, payload_name(run, number))
        store(engine, run, Chunk(direction="apply", number=number, items=size, payload=sealed))
    return digest.hexdigest()


def lease_kept(engine: Engine, run: Run) -> AbstractContextManager[None]:
    """A scan may find nothing for minutes: meanwhile a thread says that it is alive."""

    def keep() -> None:
        with engine.database.transaction() as session:
            renew(session, run)

    return leases.kept(run.id, keep)


def payload_name(run: Run, number: int) -> str:
    return f"{run.token}/plan/{number}"


def _pages(work: Work, survey: Survey, found: Iterator[Sequence[Item]]) -> Iterator[list[Any]]:
    """The planned keys, a chunk at a time; one that the scan met twice in a page counts once."""
    for page in regrouped(found, work.policy.chunk, work.run.narrowing.get("limit")):
        items = unique(page)
        survey.add(items, _changes(work, items))
        yield keys_of(items)


def _changes(work: Work, items: Sequence[Item]) -> list[Change]:
    if work.job.always is not None:
        return [work.job.always] * len(items)
    return [work.job.change(work.policy, item.fields) for item in items]


def unique(page: Sequence[Item]) -> Sequence[Item]:
    """Keys are compared by their bytes, which tell 1 from True and can be hashed."""
    identities = [identity(key) for key in keys_of(page)]
    if len(set(identities)) == len(page):
        return page
    return list(dict(zip(identities, page, strict=True)).values())


def _payloads(keys: list[Any]) -> Iterator[tuple[bytes, int]]:
    """A page as BSON, cut in half until it is small enough to store: keys can be documents."""
    payload = bson.encode({"keys": keys})
    if len(payload) <= MAX_PAYLOAD or len(keys) == 1:
        yield payload, len(keys)
        return
    middle = len(keys) // 2
    yield from _payloads(keys[:middle])
    yield from _payloads(keys[middle:])


def give_back(engine: Engine, run: Run) -> None:
    """This process must stop: another begins the plan anew, and no rescue is used up."""
    with engine.database.transaction() as session:
        renew(session, run)
        current = runs.get(session, run.id, lock=True)
        current.lease_until = None
        if not current.inline:
            runs.ring(session, current, database.now(session))


def store(engine: Engine, run: Run, chunk: Chunk) -> None:
    if engine.draining.is_set():
        raise Draining(f"The plan of r-{run.id} is given back: this process must stop.")
    # What freezes the plan is durable, and makes every chunk before it so.
    with engine.database.transaction(durable=False) as session:
        renew(session, run)
        chunk.run_id = run.id
        session.add(chunk)


def renew(session: Session, run: Run) -> None:
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
    target = engine.target_of(work.options)
    for warning in work.options.warnings:
        selector = AllOf(all=(work.selector, warning.when))
        count = target.count(work.options.collection, selector, work.as_of)
        if count:
            found.append({"records": count, "say": warning.say})
    return found


def _held(engine: Engine, work: Work, held: Selector | None) -> int | None:
    """How many records the plan leaves out for legal holds; None if they take long to count."""
    if held is None:
        return 0
    target = engine.target_of(work.options)
    wanted = AllOf(all=(work.selector, held))
    try:
        return target.count(work.options.collection, wanted, work.as_of)
    except DeadlineExceeded:
        return None


def _estimate(engine: Engine, work: Work, survey: Survey) -> dict[str, Any]:
    """Archive bytes before compression, and seconds at the policy's own past rate if it has one."""
    with engine.database.transaction() as session:
        past = session.execute(
            select(Run)
            .where(Run.policy == work.run.policy, Run.state == State.SUCCEEDED)
            .order_by(Run.id.desc())
            .limit(1)
        ).scalar()
        changed = _touched(session, past) if past else 0
    seconds = None
    if past and changed and past.finished_at and past.applying_at:
        took = (past.finished_at - past.applying_at).total_seconds()
        seconds = round((survey.planned + survey.children) * took / changed, 1)
    goes = {work.options.collection: survey.planned, **survey.cascade}
    target = engine.target_of(work.options)
    size = sum(count * target.average_size(name) for name, count in goes.items())
    return {"seconds": seconds, "archive_bytes_at_most": size}


def _touched(session: Session, run: Run) -> int:
    return claims.totals(session, run.id).changed + claims.children(session, run.id)


def still_enabled(session: Session, run: Run) -> bool:
    """A policy that was disabled while its scheduled run waited only observes."""
    if run.trigger != "schedule":
        return True
    switch = session.get(Switch, run.policy)
    return switch is not None and switch.enabled_version == run.policy_version


def freeze(engine: Engine, run: Run, policy: Policy, **columns: Any) -> None:
    """The plan is whole: store what it says, and take the arrow its guards and policy allow."""
    cascade = columns["preview"]["cascade"]
    verdicts = guards.judge(
        policy.guards, columns["planned"], columns["population"], sum(cascade.values())
    )
    refused = guards.refusal(verdicts)
    actor = engine.actor
    with engine.database.transaction() as session:
        renew(session, run)
        current = runs.get(session, run.id, lock=True)
        expires = database.now(session) + policy.plan_expires.delta
        free = {"expires_at": expires, "lease_token": None, "lease_until": None}
        for name, value in {**columns, **free}.items():
            setattr(current, name, value)
        facts = {name: columns[name] for name in ("planned", "population", "digest")}
        facts["cascade"] = cascade
        facts["cutoffs"] = columns["preview"]["cutoffs"]
        facts["selector_digest"] = hashlib.sha256(
            json.dumps(columns["selector"], sort_keys=True).encode()
        ).hexdigest()
        if refused:
            runs.move(session, current, State.REFUSED, actor, detail=facts, refusal=refused)
            return
        runs.move(session, current, State.PLANNED, actor, detail=facts)
        if current.apply_after_plan and still_enabled(session, current):
            runs.go_on(session, current, actor, policy)
