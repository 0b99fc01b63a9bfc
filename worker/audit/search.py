"""Finding entries: by run, policy, actor, action and time."""

import json
from typing import Annotated, Any

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.audit import entries
from worker.tables import Entry


class Search(BaseModel):
    """What the entries must have in common; `since` is part of the time, `until` is not."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    run: int | None = None
    policy: str | None = None
    actor: str | None = None
    action: str | None = None
    since: AwareDatetime | None = None
    until: AwareDatetime | None = None
    limit: Annotated[int, Field(ge=1)] = 100


def search(session: Session, wanted: Search) -> list[Entry]:
    """The newest entries that match, at most `limit`, in the order in which they were written."""
    columns = {
        Entry.run_id: wanted.run,
        Entry.policy: wanted.policy,
        Entry.actor: wanted.actor,
        Entry.action: wanted.action,
    }
    found = select(Entry).order_by(Entry.id.desc()).limit(wanted.limit)
    for column, value in columns.items():
        if value is not None:
            found = found.where(column == value)
    if wanted.since is not None:
        found = found.where(Entry.at >= wanted.since)
    if wanted.until is not None:
        found = found.where(Entry.at < wanted.until)
    return list(session.scalars(found))[::-1]


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
