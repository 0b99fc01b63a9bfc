"""Finding entries: by run, policy, actor, action, target, outcome and time."""

import json
from collections.abc import Iterator
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import ColumnElement, String, cast, or_, select
from sqlalchemy.orm import Session, aliased

from worker.audit import entries
from worker.states import State
from worker.tables import Entry, Manifest, RunCollection


class Search(BaseModel):
    """What the entries must have in common; `since` is part of the time, `until` is not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: int | None = None
    policy: str | None = None
    actor: str | None = None
    action: str | None = None
    target: str | None = None
    """Target and collection that the run writes to."""
    outcome: State | None = None
    """A state in which the run has ever been."""
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    before: int | None = None
    """Only entries older than this one."""
    limit: Annotated[int, Field(ge=1)] = 100


def search(session: Session, wanted: Search) -> list[Entry]:
    """The newest entries that match, at most `limit`, in the order in which they were written."""
    found = select(Entry).where(*conditions(wanted)).order_by(Entry.id.desc()).limit(wanted.limit)
    return list(session.scalars(found))[::-1]


def conditions(wanted: Search) -> Iterator[ColumnElement[bool]]:
    """What holds of every entry that matches; `limit` is not among it."""
    columns = {
        Entry.run_id: wanted.run,
        Entry.policy: wanted.policy,
        Entry.actor: wanted.actor,
        Entry.action: wanted.action,
    }
    for column, value in columns.items():
        if value is not None:
            yield column == value
    if wanted.before is not None:
        yield Entry.id < wanted.before
    if wanted.target is not None:
        yield _writes_to(wanted.target)
    if wanted.outcome is not None:
        yield _was_ever(wanted.outcome)
    if wanted.since is not None:
        yield Entry.at >= wanted.since
    if wanted.until is not None:
        yield Entry.at < wanted.until


def _writes_to(target: str) -> ColumnElement[bool]:
    """By the run's row; and, of runs whose row is gone, by what their manifests list."""
    collections = select(RunCollection.run_id).where(RunCollection.collection == target)
    listing = cast(Manifest.counts, String).contains(f'"{target}"', autoescape=True)
    listed = select(Manifest.run_id).where(listing)
    return or_(Entry.run_id.in_(collections), Entry.run_id.in_(listed))


def _was_ever(outcome: State) -> ColumnElement[bool]:
    ended = aliased(Entry)
    return Entry.run_id.in_(select(ended.run_id).where(ended.action == f"run_{outcome}"))


def as_json(entry: Entry) -> dict[str, Any]:
    """An entry for a reader; `body` is None when it can no longer be decoded."""
    return {
        "id": entry.id,
        "at": entries.stamp(entry.at),
        "action": entry.action,
        "run": None if entry.run_id is None else f"r-{entry.run_id}",
        "policy": entry.policy,
        "actor": entry.actor,
        "leaf_hash": entry.leaf_hash,
        "body": _decoded(entry.body),
    }


def _decoded(body: bytes) -> Any:
    try:
        return json.loads(body)
    except ValueError:
        return None  # `tend audit verify` says so
