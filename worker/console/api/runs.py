"""`/api/v1/runs`: what was run, and what a person may ask of a run."""

from collections import Counter
from collections.abc import Iterator
from contextlib import nullcontext
from functools import partial
from http import HTTPStatus
from typing import Annotated, Any

import structlog
from fastapi import APIRouter, Query
from fastapi.responses import StreamingResponse
from sqlalchemy.orm import Session

from policies.errors import TendError
from worker import approval, by_hand, claims, operations
from worker import runs as store
from worker.console.api.bodies import (
    Change,
    Document,
    Line,
    NewRun,
    Override,
    Reveal,
    RunList,
    Undo,
)
from worker.console.asking import Here, allowed
from worker.console.installation import Installation
from worker.documents import records as listing
from worker.documents import runs as documents
from worker.documents import undo_plan
from worker.documents.runs import LISTED, Wanted
from worker.identity import Actor
from worker.keys import Keyring
from worker.listing import Became
from worker.narrowing import narrowing
from worker.operations import Person
from worker.standstill import await_batches

router = APIRouter(tags=["runs"])
log = structlog.get_logger()
PART = 64 * 1024
_STREAMED: dict[int | str, Any] = {200: {"content": {"application/json": {}}}}
_GOES_ON = HTTPStatus.ACCEPTED
"""What was asked is on record, and a worker does it."""


@router.get("/runs")
def runs(here: Here, wanted: Annotated[RunList, Query()], _: Actor = allowed("runs")) -> Document:
    """The latest runs, newest first; `next` is the `before` of the next page."""
    before = None if wanted.before is None else store.parse_id(wanted.before)
    page = Wanted(wanted.policy, wanted.state, wanted.limit, before)
    return documents.listed(here.database, here.policies, page)


@router.get("/runs/{run}")
def show(here: Here, run: Line, _: Actor = allowed("show")) -> Document:
    """One run: state, why, what it waits for, counts, chunks, timings, who."""
    return documents.shown(here.settings, here.database, store.parse_id(run), log.warning)


@router.get("/runs/{run}/plan")
def show_plan(here: Here, run: Line, _: Actor = allowed("show")) -> Document:
    """The run and its frozen plan: what it would change, with a sample."""
    keyring = Keyring.from_settings(here.settings)
    document, plan = documents.planned(here.database, keyring, store.parse_id(run))
    return {**document, "plan": plan}


@router.post("/policies/{policy}/plan", status_code=_GOES_ON)
def plan(here: Here, policy: Line, body: NewRun, actor: Actor = allowed("plan")) -> Document:
    """Have a worker plan the policy and stop; nothing is written to the target."""
    return _requested(here, policy, body, actor, apply_after_plan=False)


@router.post("/policies/{policy}/run", status_code=_GOES_ON)
def run(here: Here, policy: Line, body: NewRun, actor: Actor = allowed("run")) -> Document:
    """Plan and apply the policy in one."""
    return _requested(here, policy, body, actor, apply_after_plan=True)


@router.post("/runs/{run}/apply", status_code=_GOES_ON)
def apply(here: Here, run: Line, body: Change, actor: Actor = allowed("apply")) -> Document:
    """Apply a plan exactly as it was frozen; records that changed since are left and counted."""
    run_id = _reach(here, run)
    today = documents.todays_policy(here.policies(), here.database, run_id)
    operations.apply(here.database, run_id, today, body.by(actor), inline=False)
    return _went_on(here, run_id)


@router.post("/runs/{run}/approve", status_code=_GOES_ON)
def approve(here: Here, run: Line, body: Change, actor: Actor = allowed("approve")) -> Document:
    """Let a plan that waits for another person go on exactly as it was frozen."""
    run_id = _reach(here, run)
    today = documents.todays_policy(here.policies(), here.database, run_id)
    approval.approve(here.database, run_id, today, body.by(actor), inline=False)
    return _went_on(here, run_id)


@router.post("/runs/{run}/reject")
def reject(here: Here, run: Line, body: Change, actor: Actor = allowed("reject")) -> Document:
    """End a plan that waits for another person; nothing was changed."""
    run_id = store.parse_id(run)
    approval.reject(here.database, run_id, body.by(actor))
    return documents.one(here.database, run_id)


@router.post("/runs/{run}/override")
def override(here: Here, run: Line, body: Override, actor: Actor = allowed("override")) -> Document:
    """Ask another person to approve this very plan although a guard refused it."""
    run_id = store.parse_id(run)
    today = documents.todays_policy(here.policies(), here.database, run_id)
    approval.override(here.database, run_id, body.guard, today, body.by(actor))
    return documents.one(here.database, run_id)


@router.post("/runs/{run}/pause")
def pause(here: Here, run: Line, body: Change, actor: Actor = allowed("pause")) -> Document:
    """Stop a run, or its undo, at the next batch; answers when the batches at work have ended."""
    run_id = store.parse_id(run)
    operations.pause(here.database, run_id, body.by(actor))
    await_batches(here.database, partial(_is_at_work, run_id))
    return documents.one(here.database, run_id)


@router.post("/runs/{run}/resume", status_code=_GOES_ON)
def resume(here: Here, run: Line, body: Change, actor: Actor = allowed("resume")) -> Document:
    """Continue a run that is paused or failed."""
    run_id = _reach(here, run)
    operations.resume(here.database, run_id, body.by(actor), inline=False)
    return _went_on(here, run_id)


@router.post("/runs/{run}/cancel")
def cancel(here: Here, run: Line, body: Change, actor: Actor = allowed("cancel")) -> Document:
    """End a run: no batch commits after this; what it changed so far stays changed."""
    run_id, person = store.parse_id(run), body.by(actor)
    by_hand.cancel(here.engine(person.actor), run_id, person, log.warning)
    return documents.one(here.database, run_id)


@router.get("/runs/{run}/undo")
def undo_preview(
    here: Here,
    run: Line,
    only: Annotated[list[Line] | None, Query(max_length=1_000)] = None,
    actor: Actor = allowed("undo"),
) -> Document:
    """What an undo would do now, asked through handles that cannot write."""
    run_id = store.parse_id(run)
    return undo_plan.document(
        here.settings,
        here.database,
        run_id,
        None if only is None else list(only),
        LISTED,
        lambda: nullcontext(here.engine(actor)),
    )


@router.post("/runs/{run}/undo", status_code=_GOES_ON)
def undo(here: Here, run: Line, body: Undo, actor: Actor = allowed("undo")) -> Document:
    """Restore what a run changed and nobody has touched since; pauses the policy's schedule."""
    run_id, person = _reach(here, run), body.by(actor)
    only = undo_plan.selected(here.settings, here.database, run_id, list(body.only))
    operations.undo(here.database, run_id, person, inline=False, only=only)
    return _went_on(here, run_id)


@router.get("/runs/{run}/records", response_class=StreamingResponse, responses=_STREAMED)
def records(
    here: Here,
    run: Line,
    outcome: Annotated[Became | None, Query()] = None,
    _: Actor = allowed("records"),
) -> StreamingResponse:
    """Every record of a run, masked, with what became of it and why."""
    return _records(here, store.parse_id(run), outcome, None)


@router.post("/runs/{run}/records", response_class=StreamingResponse, responses=_STREAMED)
def reveal(
    here: Here, run: Line, body: Reveal, actor: Actor = allowed("records --reveal")
) -> StreamingResponse:
    """The same with its values unmasked, which is put on record."""
    return _records(here, store.parse_id(run), body.outcome, body.by(actor))


def _requested(
    here: Installation, policy: str, body: NewRun, actor: Actor, *, apply_after_plan: bool
) -> Document:
    here.settings.need("redis_url")
    run_id = operations.request(
        here.database,
        here.policies().get(policy).policy,
        here.settings.env,
        body.by(actor),
        apply_after_plan=apply_after_plan,
        inline=False,
        narrowing=narrowing(body.where, body.limit),
    )
    return _went_on(here, run_id)


def _reach(here: Installation, run: str) -> int:
    """The run's number, once it is known that workers can be woken for it."""
    here.settings.need("redis_url")
    return store.parse_id(run)


def _went_on(here: Installation, run_id: int) -> Document:
    by_hand.ring(here.settings, here.database, log.warning)
    return documents.one(here.database, run_id)


def _is_at_work(run_id: int, session: Session) -> bool:
    return claims.is_at_work(session, run_id)


def _records(
    here: Installation, run_id: int, outcome: Became | None, person: Person | None
) -> StreamingResponse:
    is_revealed = person is not None
    found = listing.found(here.settings, here.database, run_id, is_revealed=is_revealed)
    if person is not None:
        operations.reveal(here.database, run_id, person, outcome)
    counts: Counter[str] = Counter()
    failed: list[TendError] = []
    rows = listing.chosen(found.rows(), outcome, counts)
    parts = listing.as_json(run_id, rows, counts, failed)
    return StreamingResponse(_joined(parts), media_type="application/json")


def _joined(parts: Iterator[str]) -> Iterator[str]:
    """Each part that is sent costs a change of threads, and a record is small."""
    waiting: list[str] = []
    size = 0
    for part in parts:
        waiting.append(part)
        size += len(part)
        if size >= PART:
            yield "".join(waiting)
            waiting, size = [], 0
    yield "".join(waiting)
