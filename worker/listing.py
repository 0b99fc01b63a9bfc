"""Every record of a run, one by one: what became of it, and why.

Streamed chunk by chunk out of the plan and the archive, so that memory grows with a chunk and not
with the run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any, cast

import bson
from bson import json_util
from sqlalchemy import select

from policies.models import RecordOptions
from worker import objects, runs
from worker.applying import KEYS
from worker.archive import ArchiveStore
from worker.database import Database
from worker.errors import ArchiveExpired, UsageError
from worker.keys import Keyring, RunKey
from worker.masking import mask
from worker.planner import payload_name
from worker.registry import frozen_policy, is_task, job_of
from worker.tables import Chunk, Run
from worker.targets.base import Place, RecordOutcome, place_of
from worker.targets.mongo_restore import value_at
from worker.targets.mongo_unique import MISSING

Document = dict[str, Any]


class Became(StrEnum):
    """What became of a planned record; `changed` is what still is as Tend left it."""

    CHANGED = "changed"
    SKIPPED = "skipped"
    FAILED = "failed"
    HELD = "held"
    UNCERTAIN = "uncertain"
    RESTORED = "restored"
    CONFLICT = "conflict"
    NOT_REACHED = "not_reached"


@dataclass(frozen=True)
class Listing:
    """One run's records, as far as the archive and the control database know."""

    database: Database
    archive: ArchiveStore
    run: Run
    key: RunKey
    collection: str
    fields: tuple[str, ...]
    """Those that the policy reads or changes; no other is shown."""
    is_sql: bool
    is_revealed: bool

    def rows(self) -> Iterator[Document]:
        """`key`, `outcome`, `code`, and of a changed record the fields before and after.

        Raises `ArchiveError` where the archive cannot be read.
        """
        for chunk in self._chunks("apply"):
            undone = self._undone(chunk.number)
            for ref in objects.standing(chunk):
                for record in self.archive.read(self.key, ref):
                    last = undone.get(place_of(record)) if undone else None
                    yield self._row(record, last)
            yield from self._not_reached(chunk)

    def _row(self, record: RecordOutcome, last: tuple[str, str | None] | None) -> Document:
        outcome, code = record.outcome, record.code
        if outcome in {"changed_since", "gone"}:
            outcome, code = "skipped", outcome
        elif outcome == "changed":
            outcome, code = last or ("changed", _how(record))
        return {
            "collection": record.collection or self.collection,
            "key": self._shown("_id", record.key),
            "outcome": outcome,
            "code": code,
            "before": self._before(record),
            "after": self._after(record),
        }

    def _before(self, record: RecordOutcome) -> Document | None:
        if record.before is None:
            return None
        # A row of SQL is archived beside its key.
        image = record.before["row"] if self.is_sql else record.before
        wanted = dict.fromkeys((*self.fields, *(record.written or {}), *record.unset))
        found = ((name, value_at(image, name)) for name in wanted if name != "_id")
        return {name: self._shown(name, value) for name, value in found if value is not MISSING}

    def _after(self, record: RecordOutcome) -> Document | None:
        """The fields that were written, null where one was removed; None if it was deleted."""
        if record.written is None:
            return None
        written = {name: self._shown(name, value) for name, value in record.written.items()}
        return {**written, **dict.fromkeys(record.unset)}

    def _shown(self, name: str, value: Any) -> Any:
        """In types that JSON knows."""
        if not self.is_revealed:
            return mask(name, value)
        match value:
            case str():
                return value
            case Mapping() | list() | bytes():
                return json_util.dumps(value, json_options=json_util.RELAXED_JSON_OPTIONS)
            case _:
                return mask("", value)

    def _undone(self, source: int) -> dict[Place, tuple[str, str | None]]:
        """What the last undo left of each record of a chunk."""
        return {
            place_of(record): (record.outcome, record.code)
            for chunk in self._chunks("undo")
            if chunk.source == source
            for ref in objects.every(chunk)
            for record in self.archive.read(self.key, ref)
        }

    def _not_reached(self, chunk: Chunk) -> Iterator[Document]:
        if chunk.cursor == chunk.items or chunk.payload is None:
            return
        plain = self.key.open(chunk.payload, payload_name(self.run, chunk.number))
        for key in bson.decode(plain, KEYS)["keys"][chunk.cursor :]:
            shown = self._shown("_id", key)
            yield {
                "collection": self.collection,
                "key": shown,
                "outcome": "not_reached",
                "code": None,
                "before": None,
                "after": None,
            }

    def _chunks(self, direction: str) -> Iterator[Chunk]:
        """One at a time, each in a transaction of its own: reading is too slow for one."""
        number = -1
        while True:
            query = (
                select(Chunk)
                .where(Chunk.run_id == self.run.id, Chunk.direction == direction)
                .where(Chunk.number > number)
                .order_by(Chunk.number)
                .limit(1)
            )
            with self.database.transaction() as session:
                chunk = session.scalars(query).first()
            if chunk is None:
                return
            yield chunk
            number = chunk.number


def listing(
    database: Database,
    archive: ArchiveStore,
    keyring: Keyring,
    run_id: int,
    *,
    is_revealed: bool,
) -> Listing:
    """Raises `ArchiveExpired` when the run's keys and images are destroyed."""
    with database.transaction() as session:
        run = runs.get(session, run_id)
    if run.key is None:
        raise ArchiveExpired(
            f"The plan and archive of r-{run_id} are past their time and were destroyed; "
            f"`tend show r-{run_id}` still has its counts."
        )
    policy = frozen_policy(run.policy_text)
    if is_task(policy):
        raise UsageError(
            f"r-{run_id} performed tasks and archived no records; `tend show r-{run_id}` has its "
            "counts."
        )
    options = cast(RecordOptions, policy.options)
    return Listing(
        database,
        archive,
        run,
        keyring.unwrap(run.key),
        options.collection,
        job_of(policy).fields(policy),
        options.target == "sql",
        is_revealed,
    )


def _how(record: RecordOutcome) -> str:
    if record.label is not None:
        return "quarantined"
    return "deleted" if record.written is None else "written"
