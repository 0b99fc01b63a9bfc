"""Reports of a period, from entries alone: who had access, what failed and who noticed it."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.audit.entries import stamp
from worker.audit.search import Search, conditions
from worker.evidence import noticed
from worker.evidence.facts import DECISIONS, Document, Facts, event, gathered
from worker.states import State
from worker.tables import Entry, Run

_FAILURES = ("run_failed", "run_refused", "run_skipped", "chunk_outcome", "index_failed")
_BAD_RESULTS = ("failed", "lost")
_REACTIONS = (
    *("resume_requested", "cancel_requested", "undo_requested", "override_requested"),
    *("apply_requested", "brake_pulled", "policy_disabled", "policy_enabled", "run_created"),
)
"""By these a person shows that they have seen that something is wrong."""


def access(session: Session, since: datetime, until: datetime) -> Document:
    """Who did what and how they are known, and each decision that takes a person."""
    facts = gathered(_bodies(session, since, until))
    kinds = (*DECISIONS, "overrides", "values_shown", "brakes", "keys_destroyed")
    return {
        "people": list(_people(facts)),
        "alone": list(_alone(facts)),
        **{kind: facts.of(kind) for kind in kinds},
    }


def _people(facts: Facts) -> Iterator[Document]:
    for (name, proof), did in sorted(facts.actors.items()):
        yield {"actor": name, "proof": proof, "entries": dict(sorted(did.items()))}


def _alone(facts: Facts) -> Iterator[Document]:
    """Overrides of a guard that nobody else has approved or rejected in the period."""
    decided = {one["run"] for one in facts.of("approvals")}
    yield from (one for one in facts.of("overrides") if one["run"] not in decided)


def failures(session: Session, since: datetime, until: datetime) -> list[Document]:
    """Each failure with its cause, its alert, and the first thing that a person did about it."""
    wanted = Search(since=since, until=until)
    query = select(Entry).where(*conditions(wanted), Entry.action.in_(_FAILURES))
    found = session.scalars(query.order_by(Entry.id))
    return [_failure(session, entry) for entry in found if _is_failure(entry)]


def _is_failure(entry: Entry) -> bool:
    detail = json.loads(entry.body)["detail"]
    return entry.action != "chunk_outcome" or detail["result"] in _BAD_RESULTS


def _failure(session: Session, entry: Entry) -> Document:
    said = event(json.loads(entry.body))
    run = None if entry.run_id is None else session.get(Run, entry.run_id)
    return {
        "at": said["at"],
        "what": said["action"],
        "run": said["run"],
        "policy": said["policy"],
        "cause": _cause(said, run),
        "alerted": noticed.alert_of(session, entry),
        "noticed": _noticed(session, entry),
    }


def _cause(said: Document, run: Run | None) -> str | None:
    """What the entry says itself; else what the run's row says, for as long as there is one."""
    detail = said["detail"]
    if said["action"] == "chunk_outcome":
        return f"chunk {detail['chunk']}, attempt {detail['attempt']}: {detail['result']}"
    told: Any = detail.get("skipped") or detail.get("code")
    if told is None and run is not None:
        told = run.error if run.state == State.FAILED else run.refusal
    return None if told is None else str(told)


def _noticed(session: Session, entry: Entry) -> Document | None:
    """The first reaction of a person to the run or its policy; None if there was none."""
    after = select(Entry).where(
        Entry.id > entry.id,
        Entry.policy == entry.policy,
        Entry.action.in_(_REACTIONS),
        ~Entry.actor.startswith("tend-"),
    )
    first = session.scalars(after.order_by(Entry.id).limit(1)).first()
    if first is None:
        return None
    said = event(json.loads(first.body))
    return {
        "at": said["at"],
        "actor": said["actor"],
        "action": said["action"],
        "reason": said["detail"].get("reason"),
        "after_seconds": int((first.at - entry.at).total_seconds()),
    }


def retained(session: Session, policy: str) -> Document:
    """Of one policy: its last success, and what its runs deleted and left under a hold."""
    ended = select(Run).where(Run.policy == policy, Run.state == State.SUCCEEDED)
    last = session.scalars(ended.order_by(Run.id.desc()).limit(1)).first()
    deleted = 0
    listed = select(Entry.body).where(Entry.policy == policy, Entry.action == "chunk_manifest")
    for body in session.scalars(listed.execution_options(yield_per=500)):
        counts = json.loads(body)["detail"]["counts"].values()
        deleted += sum(each.get("deleted", 0) - each.get("restored", 0) for each in counts)
    finished = last.finished_at if last is not None else None
    remaining = (last.remaining or {}) if last is not None else {}
    return {
        "last_success": None if last is None else f"r-{last.id}",
        "last_success_at": None if finished is None else stamp(finished),
        "deleted": deleted,
        "held": remaining.get("held"),
    }


def _bodies(session: Session, since: datetime, until: datetime) -> Iterator[Document]:
    query = select(Entry.body).where(*conditions(Search(since=since, until=until)))
    ordered = query.order_by(Entry.id).execution_options(yield_per=500)
    for body in session.scalars(ordered):
        yield json.loads(body)
