"""Ids that no entry has, and entries that no position has."""

import json
from collections.abc import Iterator
from itertools import chain

from sqlalchemy import exists, func, select, text
from sqlalchemy.orm import Session

from worker.audit.findings import Finding, Lacking, finding
from worker.tables import Entry, Position, Unsequenced

_SHOWN = 5
_WHY = {
    "sqlite": "SQLite takes an id back with its transaction, so find out who deleted entries",
    "postgresql": "a transaction that was rolled back or is still open leaves such a gap, and so "
    "does a deleted entry; the ids alone cannot tell",
}


def pruned(session: Session) -> int:
    """How many entries from the beginning were removed on record, by `tend audit prune`."""
    last = select(Entry.body).where(Entry.action == "log_pruned").order_by(Entry.id.desc())
    body = session.scalars(last.limit(1)).first()
    try:
        size = 0 if body is None else json.loads(body)["detail"]["size"]
    except (ValueError, KeyError, TypeError):
        return 0  # what is off with that entry is a finding of its own
    return size if isinstance(size, int) else 0


def unsequenced(session: Session) -> Iterator[Finding]:
    """Entries that were to get a position, and went before they had it."""
    gone = select(Unsequenced.entry_id).where(~exists().where(Entry.id == Unsequenced.entry_id))
    for entry_id in session.scalars(gone.order_by(Unsequenced.entry_id)):
        says = f"Entry {entry_id} was written, and went before it had a position."
        yield finding(Lacking(says), entry=entry_id)


def notes(session: Session, start: int) -> Iterator[str]:
    """Ids that are missing since the entry before position `start`.

    A note and no finding, since nothing here proves what the ids were.
    """
    last = session.scalar(select(Position.entry_id).where(Position.position == start - 1)) or 0
    before = func.lag(Entry.id, 1, last).over(order_by=Entry.id)
    pairs = select(Entry.id, before.label("before")).where(Entry.id > last).subquery()
    missing = (
        select(pairs.c.before + 1, pairs.c.id - 1)
        .where(pairs.c.id > pairs.c.before + 1)
        .order_by(pairs.c.id)
    )
    shown: list[str] = []
    number = 0
    for first, end in chain(session.execute(missing), _after_the_last(session)):
        number += end - first + 1
        if len(shown) < _SHOWN:
            shown.append(f"{first} to {end}")
    if number:
        why = _WHY[session.get_bind().dialect.name]
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
