"""Entries held against themselves and against the runs they speak of, run by run in a stream."""

import json
from array import array
from collections import defaultdict
from collections.abc import Iterator
from itertools import groupby
from typing import Any

from pydantic import ValidationError
from sqlalchemy import ColumnElement, CompoundSelect, Row, and_, exists, select, true, union
from sqlalchemy.orm import Session

from worker.audit import gaps, merkle
from worker.audit.body import Body
from worker.audit.dating import BACKDATED, TrustedTimes
from worker.audit.entries import canonical, stamp
from worker.audit.findings import Finding, Lacking, Report, finding
from worker.audit.ledger import COLUMNS, Ledger
from worker.audit.streaming import streamed, streamed_columns
from worker.states import State
from worker.tables import Chunk, Entry, Position, Run, Unsequenced

_COLUMNS = ("id", "at", "action", "run_id", "policy", "actor", "body", "leaf_hash")
_REPEATED = ("at", "action", "run", "policy", "actor")
"""What columns repeat of the body."""
Numbers = defaultdict[str, "array[int]"]
"""By writer, the numbers of its entries."""


def check(session: Session, report: Report, start: int, times: TrustedTimes) -> Iterator[Finding]:
    """What is off with the entries from position `start` on, and with the runs they belong to.

    Memory grows with the chunks of one run, and a number for each entry.
    """
    runs = _Rows(_runs(session, start), "id")
    chunks = _Rows(_chunks(session, start), "run_id")
    writers: Numbers = defaultdict(lambda: array("q"))
    for run_id, of_run in groupby(_entries(session, start), lambda row: row.run_id):
        run = None if run_id is None else next(runs.of(run_id), None)
        ledger = Ledger(run) if run is not None else None
        is_removed = False
        for row in of_run:
            is_new = row.position is None or row.position >= start
            report.entries += is_new
            is_removed = is_removed or row.action == "run_removed"
            for says in _off(row, ledger, writers if is_new else None, times):
                yield finding(_about(f"Entry {row.id}", says), entry=row.id, run=run_id)
        if ledger is not None:
            report.runs += 1
            for says in ledger.close(chunks.of(run_id)):
                yield finding(_about(f"Run r-{run_id}", says), run=run_id)
            report.open_claims += ledger.open_claims
        elif run_id is not None and not is_removed:
            yield finding(f"Run r-{run_id} has entries and is not there.", run=run_id)
    yield from _silent(session, report)
    yield from _numbers(writers, is_whole=not start and not gaps.pruned(session))


class _Rows:
    """Rows in the order of a key, taken in step with others in the same order."""

    def __init__(self, rows: Any, key: str) -> None:
        self._groups = groupby(rows, lambda row: getattr(row, key))
        self._next = next(self._groups, None)

    def of(self, key: int) -> Iterator[Any]:
        """The rows of this key; asked for with rising keys."""
        while self._next is not None and self._next[0] < key:
            self._next = next(self._groups, None)
        if self._next is not None and self._next[0] == key:
            return iter(self._next[1])
        return iter(())


def _entries(session: Session, start: int) -> Iterator[Any]:
    columns = (getattr(Entry, name) for name in _COLUMNS)
    every = select(
        *columns, Position.position, Position.leaf_hash.label("leaf"), Unsequenced.entry_id
    )
    every = every.outerjoin(Position, Position.entry_id == Entry.id)
    every = every.outerjoin(Unsequenced, Unsequenced.entry_id == Entry.id)
    if start:
        every = every.where(Entry.id.in_(_to_read(start)))
    yield from streamed_columns(session, every.order_by(Entry.run_id, Entry.id))


def _to_read(start: int) -> CompoundSelect[int]:
    """The ids of what was not verified before, and of what else the runs in it have.

    Each part is answered by an index: one condition over them all would read the whole log.
    """
    placed = select(Position.entry_id).where(Position.position >= start)
    unplaced = select(Entry.id).where(~exists().where(Position.entry_id == Entry.id))
    of_runs = select(Entry.id).where(Entry.run_id.in_(_runs_since(start)))
    return union(placed, unplaced, of_runs)


def _runs(session: Session, start: int) -> Iterator[Run]:
    every = select(Run).where(_touched(Run.id, start)).order_by(Run.id)
    for (run,) in streamed(session, every, 100):
        yield run


def _chunks(session: Session, start: int) -> Iterator[Row[Any]]:
    every = select(*(getattr(Chunk, name) for name in COLUMNS))
    every = every.where(_touched(Chunk.run_id, start))
    every = every.order_by(Chunk.run_id, Chunk.direction, Chunk.number)
    yield from streamed(session, every, 100)


def _touched(run_id: Any, start: int) -> ColumnElement[bool]:
    """Whether a run has an entry that was not verified before."""
    return run_id.in_(_runs_since(start)) if start else true()


def _runs_since(start: int) -> CompoundSelect[int]:
    placed = select(Entry.run_id).join(Position, Position.entry_id == Entry.id)
    placed = placed.where(Position.position >= start, Entry.run_id.is_not(None))
    waiting = select(Entry.run_id).join(Unsequenced, Unsequenced.entry_id == Entry.id)
    return union(placed, waiting.where(Entry.run_id.is_not(None)))


def _about(what: str, says: str) -> str:
    sentence = f"{what} {says}."
    return Lacking(sentence) if isinstance(says, Lacking) else sentence


def _silent(session: Session, report: Report) -> Iterator[Finding]:
    looks = and_(Run.is_look, Run.state.in_((State.QUEUED, State.PLANNING)))
    silent = select(Run.id).where(~exists().where(Entry.run_id == Run.id), ~looks)
    silent = silent.order_by(Run.id)
    for (run_id,) in streamed(session, silent):
        report.runs += 1
        yield finding(Lacking(f"Run r-{run_id} has no entry at all."), run=run_id)


def _numbers(writers: Numbers, *, is_whole: bool) -> Iterator[Finding]:
    """Each writer numbers its entries from 1; of a part of the log, the first is not known."""
    for name, numbers in writers.items():
        ordered = sorted(numbers)
        before = 0 if is_whole else ordered[0] - 1
        if ordered[-1] - before == len(ordered) and len(set(ordered)) == len(ordered):
            continue
        expected = set(range(before + 1, ordered[-1] + 1))
        missing = len(expected - set(ordered))
        if missing:
            says = f"{missing} entries are missing among the {len(expected)} of writer {name}."
            yield finding(Lacking(says))
        else:
            yield finding(f"Writer {name} has used a number twice.")


def _off(
    row: Row[Any], ledger: Ledger | None, writers: Numbers | None, times: TrustedTimes
) -> Iterator[str]:
    """What is off with one entry; with `writers`, its number is noted there."""
    leaf = merkle.leaf_hash(row.body)
    if leaf.hex() != row.leaf_hash:
        yield "has a leaf hash that is not that of its body"
    yield from _misplaced(row, leaf, times)
    try:
        document = json.loads(row.body.decode())
        is_canonical = isinstance(document, dict) and canonical(document) == row.body
    except (ValueError, RecursionError):
        is_canonical = False
    if not is_canonical:
        yield "has a body that is not canonical JSON"
        return
    try:
        body = Body.model_validate(document)
    except ValidationError as error:
        where = error.errors()[0]["loc"][0]
        yield f"has a body that no entry of this version has, at {where}"
        return
    said = (body.at, body.action, body.run, body.policy, body.actor)
    columns = (stamp(row.at), row.action, row.run_id, row.policy, row.actor)
    if said != columns:
        for name, value, column in zip(_REPEATED, said, columns, strict=True):
            if value != column:
                yield f"has another {name} in its column than in its body"
    if writers is not None and abs(body.sequence) < 2**63:
        writers[body.writer].append(body.sequence)
    if ledger is not None:
        yield from ledger.take(body)


def _misplaced(row: Row[Any], leaf: bytes, times: TrustedTimes) -> Iterator[str]:
    if row.position is None:
        if row.entry_id is None:
            yield "has no position and waits for none: it was not written by Tend"
        return
    if row.leaf != leaf:
        yield f"is not the one that was given position {row.position}"
    before = times.before(row.position)
    if before is not None and row.at < before - BACKDATED:
        yield f"is dated {stamp(row.at)} and came after a checkpoint of {stamp(before)}"
