"""Verification: every entry against its own hash, its columns, and the rows it speaks of.

`docs/audit.md` says what this proves and what it cannot.
"""

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import chain, groupby

from pydantic import ValidationError
from sqlalchemy import exists, func, select, text
from sqlalchemy.orm import Session

from worker.audit.body import Body
from worker.audit.entries import canonical, leaf_hash, stamp
from worker.audit.ledger import Ledger
from worker.audit.snapshot import Snapshot
from worker.database import Database
from worker.tables import Entry, Run

MAX_FINDINGS = 1_000
"""Findings that are kept; the rest are only counted."""
_SHOWN_GAPS = 5
_WHY_GAPS = {
    "sqlite": "SQLite takes an id back with its transaction, so find out who deleted entries",
    "postgresql": "a transaction that was rolled back or is still open leaves such a gap, and so "
    "does a deleted entry; the ids alone cannot tell",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is off, in one sentence, and where."""

    entry: int | None
    run: int | None
    says: str


@dataclass
class Report:
    """What was looked at, and what was found."""

    entries: int = 0
    runs: int = 0
    open_claims: int = 0
    faults: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, finding: Finding) -> None:
        self.faults += 1
        if len(self.findings) < MAX_FINDINGS:
            self.findings.append(finding)


def verify(database: Database) -> Report:
    """Check every entry and every run, as they stand at this moment."""
    snapshot = Snapshot(database)
    report = Report()
    try:
        with snapshot.transaction() as session:
            for finding in _findings(session, report):
                report.add(finding)
            report.notes += _gaps(session)
    finally:
        snapshot.close()
    return report


def _findings(session: Session, report: Report) -> Iterator[Finding]:
    """Run by run, in a stream: memory grows with the chunks of one run and nothing else."""
    stream = session.scalars(
        select(Entry).order_by(Entry.run_id, Entry.id).execution_options(yield_per=500)
    )
    for run_id, of_run in groupby(stream, lambda entry: entry.run_id):
        run = None if run_id is None else session.get(Run, run_id)
        ledger = Ledger(run) if run is not None else None
        is_removed = False
        for entry in of_run:
            report.entries += 1
            is_removed = is_removed or entry.action == "run_removed"
            for says in _off(entry, ledger):
                yield Finding(entry.id, run_id, f"Entry {entry.id} {says}.")
        if ledger is not None:
            report.runs += 1
            for says in ledger.close(session):
                yield Finding(None, run_id, f"Run r-{run_id} {says}.")
            report.open_claims += ledger.open_claims
        elif run_id is not None and not is_removed:
            yield Finding(None, run_id, f"Run r-{run_id} has entries and is not there.")
    silent = select(Run.id).where(~exists().where(Entry.run_id == Run.id)).order_by(Run.id)
    for run_id in session.scalars(silent.execution_options(yield_per=500)):
        report.runs += 1
        yield Finding(None, run_id, f"Run r-{run_id} has no entry at all.")


def _off(entry: Entry, ledger: Ledger | None) -> Iterator[str]:
    """What is off with one entry."""
    if leaf_hash(entry.body) != entry.leaf_hash:
        yield "has a leaf hash that is not that of its body"
    try:
        document = json.loads(entry.body)
        is_canonical = isinstance(document, dict) and canonical(document) == entry.body
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
    columns = {
        "at": stamp(entry.at),
        "action": entry.action,
        "run": entry.run_id,
        "policy": entry.policy,
        "actor": entry.actor,
    }
    for name, value in columns.items():
        if getattr(body, name) != value:
            yield f"has another {name} in its column than in its body"
    if ledger is not None:
        yield from ledger.take(body)


def _gaps(session: Session) -> Iterator[str]:
    """Ids that no entry has: a note and no finding, since nothing here proves what they were."""
    before = func.lag(Entry.id, 1, 0).over(order_by=Entry.id)
    pairs = select(Entry.id, before.label("before")).subquery()
    missing = (
        select(pairs.c.before + 1, pairs.c.id - 1)
        .where(pairs.c.id > pairs.c.before + 1)
        .order_by(pairs.c.id)
    )
    shown: list[str] = []
    number = 0
    for first, end in chain(session.execute(missing), _after_the_last(session)):
        number += end - first + 1
        if len(shown) < _SHOWN_GAPS:
            shown.append(f"{first} to {end}")
    if number:
        why = _WHY_GAPS[session.get_bind().dialect.name]
        yield f"{number} ids of entries are missing, the first of them {', '.join(shown)}: {why}."


def _after_the_last(session: Session) -> Iterator[tuple[int, int]]:
    last = session.scalar(select(func.max(Entry.id))) or 0
    given = _last_given(session)
    if given > last:
        yield last + 1, given


def _last_given(session: Session) -> int:
    """The last id that the database gave to an entry, whether or not it is still there."""
    of_dialect = {
        "sqlite": "select seq from sqlite_sequence where name = 'entries'",
        "postgresql": "select pg_sequence_last_value(pg_get_serial_sequence('entries', 'id'))",
    }
    return int(session.scalar(text(of_dialect[session.get_bind().dialect.name])) or 0)
