"""Applying and undoing: one claimed chunk, batch by batch, behind its fence.

Per batch: the target transaction (fence, before-images, archive, change) and then one control
transaction (counts, cursor, lease) that stands only if the claim does.
"""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

import bson
import structlog
from bson.codec_options import CodecOptions, DatetimeConversion

from jobs.base import ApplyContext, Held, Item, Outcomes
from policies.selectors import Selector
from worker import claims, guards, holds, own_data, runs, undoing
from worker.claims import Claim
from worker.engine import Engine, Work, thaw
from worker.errors import (
    ArchiveAltered,
    ArchiveError,
    ArchiveExpired,
    BatchTooLarge,
    ClaimLost,
    DatabaseUnreachable,
    DeadlineExceeded,
    FenceLost,
    TargetConflict,
    TargetUnreachable,
)
from worker.logs import safe_text
from worker.planner import payload_name
from worker.steps import Steps, give_back, steps_of
from worker.tables import Chunk
from worker.targets.base import ArchiveRef, Batch, BatchRecord, Fence, Images, RecordOutcome
from worker.targets.quarantine import Origin
from worker.tasks.work import is_task_run
from worker.throttle.regulator import Regulator
from worker.undoing import Share

log = structlog.get_logger()

PASSING = (TargetUnreachable, DeadlineExceeded, TargetConflict, ArchiveError, BatchTooLarge)
"""Faults that time may mend: the chunk is given back and tried again later."""
PERMANENT = (ArchiveAltered, ArchiveExpired)
"""Of these kinds, the faults that only a person can mend."""

KEYS: CodecOptions[dict[str, Any]] = CodecOptions(
    tz_aware=True, datetime_conversion=DatetimeConversion.DATETIME_AUTO
)
Step = Callable[[int, int, Batch], Outcomes]


@dataclass
class Progress:
    """What the fence says so far, and what the next batch has to know."""

    batches: tuple[BatchRecord, ...] = ()
    size: int = 0
    changed: int = 0
    held: Held = field(default_factory=dict)
    is_known: bool = False
    """False until the fence was asked: before that, nothing may be recorded as its word."""

    @property
    def known(self) -> tuple[BatchRecord, ...] | None:
        return self.batches if self.is_known else None

    @property
    def cursor(self) -> int:
        return self.batches[-1].end if self.batches else 0

    @property
    def number(self) -> int:
        return len(self.batches)


def work_on(engine: Engine, claim: Claim) -> bool:
    """Work on a chunk until it is done, lost or given back; returns whether it was finished."""
    progress = Progress()
    try:
        finished = _through(engine, claim, progress)
    except (ClaimLost, FenceLost) as error:
        log.info("claim lost", run=claim.run_id, chunk=claim.number, why=safe_text(error))
        return False
    except DatabaseUnreachable:
        raise  # nothing can be recorded; the lease ends by itself and the fence remembers
    except PASSING as error:
        return _retry(engine, claim, progress, error)
    except Exception as error:  # whatever a job raises, the run must say so
        log.exception("chunk failed", run=claim.run_id, chunk=claim.number)
        claims.fail(engine.database, claim, progress.known, engine.actor, safe_text(error))
        return False
    return finished


def _retry(engine: Engine, claim: Claim, progress: Progress, error: Exception) -> bool:
    """Give the chunk back, unless that would help nothing; returns that it was not finished."""
    text = safe_text(error)
    is_hopeless = isinstance(error, PERMANENT) or not claims.retries_left(
        engine.database, claim, progress.known
    )
    what = "chunk failed" if is_hopeless else "chunk will be tried again"
    log.warning(what, run=claim.run_id, chunk=claim.number, why=text)
    if is_hopeless:
        claims.fail(engine.database, claim, progress.known, engine.actor, text)
    else:
        claims.release(engine.database, claim, progress.known, engine.actor, retry=text)
    return False


def _through(engine: Engine, claim: Claim, progress: Progress) -> bool:
    work, chunk = _load(engine, claim)
    regulator = Regulator(engine, work, is_undo=claim.direction == "undo")
    progress.size = regulator.largest
    with _fence(engine, work, claim) as fence:
        progress.batches = fence.take(claim.attempt)
        progress.is_known = True
        step = _step(engine, work, claim, chunk, progress)
        if claim.direction == "apply":
            _look_again(engine, work)
        while True:
            is_rested = regulator.rest()
            leave = claims.progress(engine.database, claim, progress.batches)
            if leave is None or engine.draining.is_set():
                break
            if progress.cursor == claim.items:
                claims.finish(engine.database, claim, progress.batches, engine.actor)
                return True
            if not is_rested:
                continue
            if not regulator.may_go_on():
                break
            progress.changed = leave.changed
            progress.held = holds.beside(engine.subjects, work.policy, leave.holds)
            end = min(progress.cursor + progress.size, claim.items)
            if claim.direction == "apply":
                guards.check_batch(work.guards, leave.changed, end - progress.cursor)
            held = holds.protected(engine.subjects, work.policy, leave.holds)
            _one_batch(fence, progress, end, step, regulator, held)
    claims.release(engine.database, claim, progress.known, engine.actor)
    return False


def end_attempt(engine: Engine, claim: Claim) -> None:
    """Take the place of an attempt that lost its worker, and give the chunk back untouched.

    After this nothing of that attempt commits. A task has no fence: no hold stops what it does.
    """
    with engine.database.transaction() as session:
        run = runs.get(session, claim.run_id)
    if is_task_run(run):
        claims.release(engine.database, claim, None, engine.actor)
        return
    work, _ = _load(engine, claim)
    with _fence(engine, work, claim) as fence:
        batches = fence.take(claim.attempt)
    claims.release(engine.database, claim, batches, engine.actor)


def _fence(engine: Engine, work: Work, claim: Claim) -> Fence:
    return engine.target_of(work.options).fence(
        claim.fence,
        work.options.collection,
        work.as_of,
        work.policy.batch.bytes,
        _archiver(engine, work, claim),
        _origin(engine, work, claim),
    )


def _one_batch(
    fence: Fence,
    progress: Progress,
    end: int,
    step: Step,
    regulator: Regulator,
    held: Selector | None,
) -> None:
    """One batch; one that is too large or too slow is tried again at half its size."""
    start, began = progress.cursor, time.monotonic()
    try:
        record = fence.batch(progress.number, (start, end), partial(step, start, end), held)
    except (BatchTooLarge, DeadlineExceeded):
        if progress.size == 1:
            raise
        progress.size = progress.size // 2
        return
    progress.batches = (*progress.batches, record)
    progress.size = regulator.after(progress.size, record.outcomes, began)


def _load(engine: Engine, claim: Claim) -> tuple[Work, Chunk]:
    with engine.database.transaction() as session:
        run = runs.get(session, claim.run_id)
        chunk = session.get_one(Chunk, (claim.run_id, claim.direction, claim.number))
        return thaw(run, engine.keyring), chunk


def _look_again(engine: Engine, work: Work) -> None:
    """Before a chunk: collections and indexes are there, and the plan is no larger a part."""
    target, collection = engine.target_of(work.options), work.options.collection
    reader = target.reader(collection, work.as_of, scan=False)
    work.job.check(reader, work.policy, work.selector)
    seen = (work.run.preview or {}).get("parents", {})
    guards.check_parents(seen, target.parents(collection, work.selector))
    with engine.database.transaction() as session:
        changed = claims.totals(session, work.run.id).changed
    population = target.population_now(collection)
    children = guards.children_of(work.run)
    guards.check_again(work.guards, work.run.planned, changed, population, children)


def _origin(engine: Engine, work: Work, claim: Claim) -> Origin | None:
    """Who moves records, for those who find them in the quarantine, or removes Tend's own."""
    if claim.direction == "undo":
        return None
    if not work.options.quarantines and work.options.target != own_data.TARGET:
        return None
    return Origin(policy=work.policy.name, run=f"r-{claim.run_id}", at=engine.clock())


def _step(engine: Engine, work: Work, claim: Claim, chunk: Chunk, progress: Progress) -> Step:
    if claim.direction == "undo":
        share = undoing.share(engine, work.key, work.run, chunk)
        return partial(_undo_step, engine, work, share)
    if chunk.payload is None:
        raise ArchiveExpired(f"The keys of r-{work.run.id} are past their time; plan anew.")
    payload = work.key.open(chunk.payload, payload_name(work.run, chunk.number))
    items = [Item(key, {}) for key in bson.decode(payload, KEYS)["keys"]]
    return partial(_apply_step, engine, work, items, progress)


def _apply_step(
    engine: Engine,
    work: Work,
    items: Sequence[Item],
    progress: Progress,
    start: int,
    end: int,
    batch: Batch,
) -> Outcomes:
    begun = steps_of(progress.batches)
    if begun.is_giving_back:
        return _give_back(engine, work, begun, end - start, batch)
    chosen = items[start : start + 1] if begun.open else items[start:end]
    context = ApplyContext(work.as_of, batch, progress.size, progress.held, begun=bool(begun.open))
    outcomes = work.job.apply(context, work.policy, work.selector, chosen)
    if outcomes.total + outcomes.left != len(chosen):
        raise AssertionError(
            f"job {work.job.name} accounted for {outcomes.total} of {len(chosen)} items"
        )
    if begun.open and outcomes.total > outcomes.changed + outcomes.gone:
        return _give_back(engine, work, begun, end - start, batch)
    touched = outcomes.changed + outcomes.children
    guards.check_batch(work.guards, progress.changed, touched)
    return replace(outcomes, left=end - start - outcomes.total)


def _give_back(engine: Engine, work: Work, begun: Steps, left: int, batch: Batch) -> Outcomes:
    """The item stays, so the latest of its steps is taken back; then it is come to anew."""
    step = begun.open[-1]
    return replace(give_back(step, _changed(engine, work, step.archive), batch), left=left)


def _undo_step(
    engine: Engine, work: Work, share: Share, start: int, end: int, batch: Batch
) -> Outcomes:
    return batch.restore(share.records(engine.archive, work.key, start, end))


def _changed(engine: Engine, work: Work, ref: ArchiveRef) -> list[RecordOutcome]:
    return [one for one in engine.archive.read(work.key, ref) if one.outcome == "changed"]


def _archiver(engine: Engine, work: Work, claim: Claim) -> Callable[[Images], ArchiveRef]:
    """Writes this attempt's objects; a batch tried twice gets a second name."""
    serial = iter(range(1_000_000_000))

    def write(images: Images) -> ArchiveRef:
        name = f"{claim.token}/{claim.direction}-{claim.number}.{claim.attempt}.{next(serial)}"
        return engine.archive.write(work.key, name + ".bson.zst", images)

    return write
