"""The fence of one chunk in SQL, as one attempt holds it.

A worker that lost its claim, or that sleeps through its lease and wakes after an undo, is
stopped here: a newer attempt stands in the row, or it is closed.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from jobs.base import Outcomes
from policies.selectors import Selector
from worker.errors import FenceLost, TargetConflict
from worker.targets.base import Archive, Batch, BatchRecord
from worker.targets.quarantine import Origin
from worker.targets.sql_batch import SqlBatch, TakeAlong
from worker.targets.sql_catalog import keep_columns, look_up
from worker.targets.sql_errors import SessionEnded
from worker.targets.sql_fences import SqlFences, session_name
from worker.targets.sql_server import SqlServer, Transaction

BATCH_SECONDS = 8
"""A batch with all its tries ends before its claim's lease does."""
CONFLICT_TRIES = 6


@dataclass
class SqlFence:
    """Each batch is a transaction that bears this attempt's name, so that it can be ended."""

    name: str
    collection: str
    where: str
    server: SqlServer
    fences: SqlFences
    as_of: datetime
    max_bytes: int
    archive: Archive
    origin: Origin | None = None
    take_along: TakeAlong | None = None
    attempt: int = 0

    def __enter__(self) -> "SqlFence":
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing is held between batches."""

    def take(self, attempt: int) -> tuple[BatchRecord, ...]:
        """See `Fence.take`."""
        self.attempt = attempt
        batches = self.fences.take(self.name, attempt)
        if batches is None:
            raise self._lost()
        return batches

    def batch(
        self,
        number: int,
        span: tuple[int, int],
        work: Callable[[Batch], Outcomes],
        held: Selector | None = None,
    ) -> BatchRecord:
        """See `Fence.batch`. A conflict with the application runs `work` again from its reads."""
        ends = time.monotonic() + BATCH_SECONDS
        for remaining in reversed(range(CONFLICT_TRIES)):
            try:
                session = session_name(self.name, self.attempt)
                with self.server.writing(self.where, ends, session=session) as transaction:
                    return self._in(transaction, number, span, work, held)
            except (TargetConflict, SessionEnded):
                if not remaining or time.monotonic() > ends:
                    raise
        raise AssertionError("the last try returned or raised")

    def _in(
        self,
        transaction: Transaction,
        number: int,
        span: tuple[int, int],
        work: Callable[[Batch], Outcomes],
        held: Selector | None,
    ) -> BatchRecord:
        start, end = span
        keep_columns(transaction, self.collection)
        if not self.fences.stands(transaction, self.name, self.attempt, start):
            raise self._lost()
        table = look_up(transaction, self.where, self.collection)
        batch = SqlBatch(
            transaction=transaction,
            table=table,
            collection=self.collection,
            as_of=self.as_of,
            max_bytes=self.max_bytes,
            archive=self.archive,
            held=held,
            origin=self.origin,
            take_along=self.take_along,
        )
        outcomes = work(batch)
        if batch.archived is None:
            raise AssertionError("a job returned from apply without asking the batch to change")
        record = BatchRecord(number, start, end, self.attempt, outcomes, batch.archived)
        self.fences.record(transaction, self.name, record)
        return record

    def _lost(self) -> FenceLost:
        return FenceLost(
            f"Attempt {self.attempt} of {self.name} was overtaken or closed; it must stop."
        )
