"""Planning a task: its items become a frozen plan, and the guards judge it whole."""

import hashlib
import json
import time
from collections.abc import Iterator, Sequence
from itertools import islice
from typing import Any

import bson

from jobs.base import Item, Update
from worker import guards, runs
from worker.engine import Engine
from worker.planner import freeze, lease_kept, payload_name, renew, store, unique
from worker.registry import family_of
from worker.survey import Survey
from worker.tables import Chunk, Run
from worker.tasks.context import Looking
from worker.tasks.work import TaskWork, thaw


def plan(engine: Engine, run: Run) -> bool:
    """Ask the task what there is to do, store it, judge it, and move to `planned` or `refused`.

    False for a look that found nothing to do, of which nothing is left.
    """
    started = time.monotonic()
    work = thaw(run, engine.keyring)
    survey = Survey(run.id, None)
    context = Looking(engine, family_of(work.job), work.as_of)
    with lease_kept(engine, run):
        engine.must_serve(work.policy)
        work.job.check(context, work.policy)
        digest = _store_plan(engine, work, survey, work.job.plan(context, work.policy))
    count = survey.planned
    if run.is_look and count == 0:
        with engine.database.transaction() as session:
            renew(session, run)
            runs.forget_look(session, runs.get(session, run.id, lock=True))
        return False
    preview = {
        **survey.as_json(),
        "population_is_exact": True,
        "cutoffs": {},
        "guards": [verdict.as_json() for verdict in guards.judge(work.policy.guards, count, count)],
        "held": 0,
        "parents": {},
        "reported": {},
        "warnings": [],
        "estimate": {"seconds": None, "archive_bytes_at_most": 0},
        "seconds": round(time.monotonic() - started, 3),
    }
    sample = json.dumps(survey.sample_as_json()).encode()
    freeze(
        engine,
        run,
        work.policy,
        planned=count,
        population=count,
        digest=digest,
        preview=preview,
        sample=work.key.seal(sample, f"{run.token}/sample"),
        selector={},
    )
    return True


def _store_plan(engine: Engine, work: TaskWork, survey: Survey, found: Iterator[Item]) -> str:
    """Store the items as they come, a chunk at a time, and return the digest of all of them."""
    run = work.run
    digest = hashlib.sha256(f"{run.policy_version} {work.as_of.isoformat()}".encode())
    limited = islice(found, run.narrowing.get("limit"))
    number = 0
    while page := list(islice(limited, work.policy.chunk)):
        items = unique(page)
        survey.add([Item(item.key, {}) for item in items], [Update(item.fields) for item in items])
        payload = packed(items)
        digest.update(payload)
        sealed = work.key.seal(payload, payload_name(run, number))
        chunk = Chunk(direction="apply", number=number, items=len(items), payload=sealed)
        store(engine, run, chunk)
        number += 1
    return digest.hexdigest()


def packed(items: Sequence[Item]) -> bytes:
    return bson.encode({"items": [[item.key, item.fields] for item in items]})


def unpacked(payload: bytes, options: Any) -> list[Item]:
    return [Item(key, fields) for key, fields in bson.decode(payload, options)["items"]]
