"""A run and its plan as JSON: the same for the command line, the console and the API."""

import json
from collections.abc import Iterator
from datetime import datetime
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker import claims
from worker.archive import ArchiveStore
from worker.audit.entries import stamp
from worker.keys import Keyring
from worker.masking import mask
from worker.states import State
from worker.tables import Chunk, Run
from worker.targets.base import ArchiveRef
from worker.waiting import waiting_for

_WAITING = {State.PLANNED, State.AWAITING_APPROVAL}
Document = dict[str, Any]


def run_as_json(session: Session, run: Run) -> Document:
    """One run; planned = changed + skipped + failed + held + uncertain, at any moment."""
    done = claims.totals(session, run.id)
    undone = claims.totals(session, run.id, "undo")
    return {
        "id": f"r-{run.id}",
        "policy": run.policy,
        "policy_version": run.policy_version,
        "state": str(run.state),
        "waiting_for": waiting_for(session, run),
        "throttle": run.throttle if run.state in claims.WORKING.values() else None,
        "reason": run.reason,
        "actor": run.actor,
        "actor_proof": run.actor_proof,
        "on_behalf_of": run.on_behalf_of,
        "environment": run.environment,
        "revision": run.revision,
        "trigger": run.trigger,
        "scheduled_for": time_as_json(run.scheduled_for),
        "cutoff": time_as_json(run.cutoff),
        "planned": run.planned,
        "reported": (run.preview or {}).get("reported", {}),
        "population": run.population,
        "changed": done.changed,
        "cascade": claims.cascade(session, run.id),
        "skipped": {
            "changed_since": done.changed_since,
            "gone": done.gone,
            "not_reached": run.planned - done.total,
        },
        "failed": done.failed,
        "held": done.held,
        "uncertain": done.uncertain,
        "remaining": run.remaining,
        "restored": undone.changed,
        "cascade_restored": claims.cascade(session, run.id, "undo"),
        "conflicts": undone.changed_since,
        "digest": run.digest,
        "created_at": time_as_json(run.created_at),
        "started_at": time_as_json(run.started_at),
        "finished_at": time_as_json(run.finished_at),
        "approval": _approval(run),
        "refusal": run.refusal,
        "error": run.error,
    }


def _approval(run: Run) -> Document | None:
    """Why another person was asked, and what they said; None if nobody was."""
    if run.approval_cause is None:
        return None
    return {
        "cause": run.approval_cause,
        "asked_by": [one["name"] for one in run.asked_by],
        "overrides": list(run.overrides.values()),
        "decided_by": run.decided_by,
        "decision": run.decision,
    }


def plan_as_json(run: Run, keyring: Keyring) -> Document | None:
    """What a person reads before saying yes; None before the plan is frozen."""
    if run.preview is None:
        return None
    return {
        **run.preview,
        "percent": _percent(run),
        "narrowing": run.narrowing,
        "sample": _sample(run, keyring),
        "expires_at": time_as_json(run.expires_at) if run.state in _WAITING else None,
        "apply": apply_command(run) if run.state == State.PLANNED else None,
    }


def apply_command(run: Run) -> str:
    return f'tend apply r-{run.id} --reason "…"'


def state_in_words(document: Document) -> str:
    """The state of a run's JSON, as people read it."""
    state = str(document["state"])
    if state == State.PLANNED and document["trigger"] == "schedule":
        return f"observing: would change {document['planned']:,}"
    remaining = document["remaining"] or {}
    if state == State.SUCCEEDED and remaining.get("at_least"):
        return f"succeeded, {remaining['total']:,} or more left"
    if state == State.SUCCEEDED and remaining.get("total"):
        return f"succeeded, {remaining['total']:,} left"
    return state


def cascade_in_words(cascade: dict[str, int]) -> str | None:
    """How many records of which collections, in the order in which they went."""
    return ", ".join(f"{count:,} {name}" for name, count in cascade.items()) or None


def left_in_words(document: Document) -> list[str]:
    """Why the selector still finds records after the run: each part and its cause."""
    remaining = document["remaining"] or {}
    causes = {
        "failed": "failed: the job cannot change them",
        "held": "under a legal hold",
        "changed_since": "changed since the plan and match again",
        "not_planned": "not in the plan: beyond its limit, or new since",
    }
    parts = [f"{remaining[name]:,} {why}" for name, why in causes.items() if remaining.get(name)]
    if remaining.get("at_least"):
        parts.append("perhaps more: counting the rest took too long")
    return parts


def reported_in_words(document: Document) -> str | None:
    """How many records a `not_in` cannot judge, by the reason: `3 null, 14 type_string`."""
    reported = document["reported"].items()
    return ", ".join(f"{count:,} {reason}" for reason, count in reported) or None


def exceptions(session: Session, run: Run, direction: str) -> list[ArchiveRef]:
    """The archive objects that hold records which were not changed, or not restored."""
    chunks = session.scalars(
        select(Chunk)
        .where(Chunk.run_id == run.id, Chunk.direction == direction)
        .where(Chunk.judged_again.is_(False))
        .order_by(Chunk.number)
    )
    return [
        ArchiveRef(entry["name"], entry["sha256"], entry["size"])
        for chunk in chunks
        for entry in chunk.archives
        if entry["others"] + entry["conflicts"]
    ]


def records(
    run: Run, objects: list[ArchiveRef], outcome: str, archive: ArchiveStore, keyring: Keyring
) -> Iterator[Document]:
    """The masked key and the code of each record that has this outcome in these objects."""
    if run.key is None or not objects:
        return
    key = keyring.unwrap(run.key)
    for ref in objects:
        found = (record for record in archive.read(key, ref) if record.outcome == outcome)
        for record in found:
            where = {"collection": record.collection} if record.collection else {}
            yield {"key": mask("_id", record.key), "code": record.code, **where}


def _sample(run: Run, keyring: Keyring) -> Any:
    if run.sample is None or run.key is None:
        return None
    return json.loads(keyring.unwrap(run.key).open(run.sample, f"{run.token}/sample"))


def _percent(run: Run) -> float:
    population = run.population or 0
    return round(100 * run.planned / population, 4) if population else 100.0 * (run.planned > 0)


def time_as_json(moment: datetime | None) -> str | None:
    """A UTC time as every document writes it."""
    return stamp(moment) if moment is not None else None
