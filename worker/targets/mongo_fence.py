"""The fence in MongoDB: one document per chunk, written in the same transaction as the change.

SQL cannot fence MongoDB. A worker that lost its claim, or that sleeps through its lease and
wakes after an undo, is stopped here: a newer attempt stands in the document, or it is closed.
"""

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import pymongo
import structlog
from bson.raw_bson import RawBSONDocument
from pymongo import ReadPreference, ReturnDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection
from pymongo.errors import DuplicateKeyError, PyMongoError
from pymongo.read_concern import ReadConcern
from pymongo.write_concern import WriteConcern

from jobs.base import Outcomes
from policies.selectors import Selector
from worker.errors import FenceLost, TargetConflict, TargetError, TargetUnreachable
from worker.targets.base import Archive, ArchiveRef, Batch, BatchRecord, Place
from worker.targets.mongo_errors import translated
from worker.targets.mongo_restore import KeyTaken
from worker.targets.mongo_select import BY_KEY
from worker.targets.mongo_tree import MongoTreeBatch
from worker.targets.quarantine import Origin

Document = Mapping[str, Any]

log = structlog.get_logger()

COLLECTION = "tend_fences"
BATCH_SECONDS = 8
COMMIT_SECONDS = 5
"""A batch ends before its claim's lease does, so a takeover finds no write of ours running."""
CONFLICT_TRIES = 6
COMMIT_TRIES = 3


@dataclass
class MongoFence:
    """The fence of one chunk, as one attempt holds it; owns that attempt's server session."""

    name: str
    fences: Collection[Document]
    records: Collection[RawBSONDocument]
    session: ClientSession
    as_of: datetime
    max_bytes: int
    archive: Archive
    origin: Origin | None = None
    attempt: int = 0
    taken: set[Place] = field(default_factory=set)
    """Keys that an undo found taken by another record's unique index."""

    def __enter__(self) -> "MongoFence":
        return self

    def __exit__(self, *_: object) -> None:
        """Give the session back, and strike it from the record: the driver will use it again.

        Where the target cannot be reached it stays on record, and whoever is using it when the
        chunk is taken over is interrupted and tries again.
        """
        try:
            with translated(self.where), pymongo.timeout(COMMIT_SECONDS):
                self.fences.update_one(
                    {"_id": self.name, "attempt": self.attempt}, {"$unset": {"session": ""}}
                )
        except TargetError as error:
            log.warning("session stays on record", fence=self.name, why=str(error))
        self.session.end_session()

    @property
    def where(self) -> str:
        return f"MongoDB collection {self.records.full_name}"

    def take(self, attempt: int) -> tuple[BatchRecord, ...]:
        """See `Fence.take`. The session's id is on record first, so that it can be ended."""
        self.attempt = attempt
        with translated(self.where), pymongo.timeout(BATCH_SECONDS):
            _end_session(self.fences, self.name, attempt)
            try:
                found = self.fences.find_one_and_update(
                    {"_id": self.name, "attempt": {"$lt": attempt}, "closed": False},
                    {
                        "$set": {"attempt": attempt, "session": self.session.session_id["id"]},
                        "$setOnInsert": {"cursor": 0, "batches": []},
                    },
                    upsert=True,
                    return_document=ReturnDocument.AFTER,
                )
            except DuplicateKeyError:
                raise self._lost() from None
        return _batches(found)

    def batch(
        self,
        number: int,
        span: tuple[int, int],
        work: Callable[[Batch], Outcomes],
        held: Selector | None = None,
    ) -> BatchRecord:
        """See `Fence.batch`. A conflict with the application runs `work` again from its reads."""
        conflicts = 0
        while True:
            try:
                with translated(self.where):
                    return self._transaction(number, span, work, held)
            except KeyTaken as taken:
                self.taken.add(taken.place)
            except TargetConflict:
                conflicts += 1
                if conflicts == CONFLICT_TRIES:
                    raise

    def _transaction(
        self,
        number: int,
        span: tuple[int, int],
        work: Callable[[Batch], Outcomes],
        held: Selector | None,
    ) -> BatchRecord:
        session = self.session
        start, end = span
        with session.start_transaction(
            ReadConcern("snapshot"), WriteConcern("majority"), ReadPreference.PRIMARY
        ):
            with pymongo.timeout(BATCH_SECONDS):
                self._stand(start)
                batch = MongoTreeBatch(
                    session=session,
                    records=self.records,
                    as_of=self.as_of,
                    max_bytes=self.max_bytes,
                    archive=self.archive,
                    taken=self.taken,
                    held=held,
                    origin=self.origin,
                )
                outcomes = work(batch)
                if batch.archived is None:
                    raise AssertionError("a job returned without asking the batch to change")
                end -= outcomes.left
                record = BatchRecord(number, start, end, self.attempt, outcomes, batch.archived)
                self.fences.update_one(
                    {"_id": self.name},
                    {"$set": {"cursor": end}, "$push": {"batches": _document(record)}},
                    session=session,
                )
            with pymongo.timeout(COMMIT_SECONDS):
                self._commit()
        return record

    def _stand(self, start: int) -> None:
        """Write the fence before anything else, so that a newer attempt and this one collide."""
        result = self.fences.update_one(
            {"_id": self.name, "attempt": self.attempt, "closed": False, "cursor": start},
            {"$set": {"writing": start}, "$inc": {"writes": 1}},
            session=self.session,
            hint=BY_KEY,
        )
        if result.matched_count != 1:
            raise self._lost()

    def _commit(self) -> None:
        """Commit; an answer that was lost is asked for again, for committing twice is once."""
        for remaining in reversed(range(COMMIT_TRIES)):
            try:
                self.session.commit_transaction()
            except PyMongoError as error:
                if not error.has_error_label("UnknownTransactionCommitResult"):
                    raise
                if not remaining:
                    raise TargetUnreachable(
                        f"{self.where} did not say whether it committed; the fence will tell."
                    ) from error
            else:
                return

    def _lost(self) -> FenceLost:
        return FenceLost(
            f"Attempt {self.attempt} of {self.name} was overtaken or closed; it must stop."
        )


def committed(fences: Collection[Document], name: str) -> tuple[BatchRecord, ...]:
    """See `Target.committed`."""
    return _batches(fences.find_one({"_id": name}))


def close_fence(fences: Collection[Document], name: str) -> tuple[BatchRecord, ...]:
    """See `Target.close_fence`."""
    with translated(f"MongoDB collection {fences.full_name}"), pymongo.timeout(BATCH_SECONDS):
        _end_session(fences, name, sys.maxsize)
        found = fences.find_one_and_update(
            {"_id": name},
            {"$set": {"closed": True}, "$setOnInsert": {"attempt": 0, "cursor": 0, "batches": []}},
            upsert=True,
            return_document=ReturnDocument.AFTER,
        )
    return _batches(found)


def _end_session(fences: Collection[Document], name: str, attempt: int) -> None:
    """A client killed in a long write leaves a server that goes on: end that session first.

    Only an attempt before `attempt` is ended: who wakes late must not disturb its successor.
    """
    standing = fences.find_one({"_id": name, "attempt": {"$lt": attempt}})
    if standing is not None and "session" in standing:
        fences.database.client.admin.command("killSessions", [{"id": standing["session"]}])


def _document(record: BatchRecord) -> Document:
    return {
        "number": record.number,
        "start": record.start,
        "end": record.end,
        "attempt": record.attempt,
        "outcomes": list(record.outcomes.counts),
        "cascade": [list(count) for count in record.outcomes.cascade.items()],
        "archive": record.archive.name,
        "sha256": record.archive.sha256,
        "size": record.archive.size,
    }


def _batches(found: Document | None) -> tuple[BatchRecord, ...]:
    return tuple(
        BatchRecord(
            number=batch["number"],
            start=batch["start"],
            end=batch["end"],
            attempt=batch["attempt"],
            outcomes=Outcomes(*batch["outcomes"], cascade=dict(batch["cascade"])),
            archive=ArchiveRef(batch["archive"], batch["sha256"], batch["size"]),
        )
        for batch in (found or {}).get("batches", ())
    )
