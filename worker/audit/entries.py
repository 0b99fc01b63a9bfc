"""Audit entries: canonical bytes, a leaf hash, and nothing that names a person's data."""

import json
from datetime import datetime
from typing import Any, cast

from sqlalchemy import Table, insert
from sqlalchemy.orm import Session

from worker import database
from worker.audit import merkle, writers
from worker.identity import Actor
from worker.tables import Entry, Run, Unsequenced

_ENTRY = insert(cast(Table, Entry.__table__)).returning(Entry.id)
_UNSEQUENCED = insert(cast(Table, Unsequenced.__table__))
_encode = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
).encode


def canonical(body: dict[str, Any]) -> bytes:
    """One text for one body: sorted keys, no spaces, UTF-8."""
    return _encode(body).encode()


def leaf_hash(body: bytes) -> str:
    """The leaf of RFC 6962 as the column holds it, in hex."""
    return merkle.leaf_hash(body).hex()


def append(
    session: Session,
    action: str,
    actor: Actor,
    *,
    run: Run | None = None,
    policy: str | None = None,
    detail: dict[str, Any] | None = None,
) -> int:
    """Add one entry to the transaction that holds what it records; returns its id.

    `detail` holds counts, digests and codes; never a value of a record.
    """
    at = database.now(session)
    name = run.policy if run is not None else policy
    writer = writers.of(session)
    body = canonical(
        {
            "v": 1,
            "writer": writer.name,
            "sequence": writer.number(),
            "at": stamp(at),
            "action": action,
            "actor": actor.name,
            "actor_proof": actor.proof,
            "actor_token": actor.token,
            "on_behalf_of": actor.on_behalf_of,
            "run": run.id if run is not None else None,
            "policy": name,
            "policy_version": run.policy_version if run is not None else None,
            "revision": database.revision(session),
            "environment": run.environment if run is not None else None,
            "trigger": run.trigger if run is not None else None,
            "detail": detail or {},
        }
    )
    entry = {
        "at": at,
        "action": action,
        "run_id": run.id if run is not None else None,
        "policy": name,
        "actor": actor.name,
        "body": body,
        "leaf_hash": leaf_hash(body),
    }
    # Tables, not objects: a run writes a dozen, and this takes a third of the time.
    connection = session.connection()
    made: int = connection.execute(_ENTRY, entry).scalar_one()
    connection.execute(_UNSEQUENCED, {"entry_id": made})
    return made


def stamp(moment: datetime) -> str:
    """A UTC time as entries write it, to the microsecond."""
    return moment.replace(tzinfo=None).isoformat(timespec="microseconds") + "Z"
