"""Entries as a file for other programs, and beside it a statement of what the file is."""

import csv
import hashlib
import io
import json
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.audit.search import Search, as_json, conditions
from worker.audit.signing import Signer
from worker.audit.snapshot import Snapshot
from worker.database import Database
from worker.errors import UsageError
from worker.evidence import log
from worker.evidence.facts import Document
from worker.spreadsheets import cell
from worker.tables import Checkpoint, Entry, Position

COLUMNS = (
    *("position", "id", "at", "action", "actor", "actor_proof", "actor_token", "on_behalf_of"),
    *("run", "policy", "policy_version", "revision", "environment", "trigger", "detail"),
    "leaf_hash",
)
_PAGE = 1_000


def statement_of(path: Path) -> Path:
    """Where the statement of an export lies."""
    return path.with_name(path.name + ".statement.json")


def export(db: Database, signer: Signer, wanted: Search, path: Path, *, as_csv: bool) -> Document:
    """Write the entries that match and that the newest checkpoint covers, oldest first.

    The statement says filter, count, checkpoint and the file's hash. Both files are there whole, or
    neither is. Raises `UsageError` if one exists.
    """
    beside = statement_of(path)
    for each in (path, beside):
        if each.exists():
            raise UsageError(f"{each} exists; evidence is not written over, so name another file.")
    snapshot = Snapshot(db)
    try:
        with snapshot.transaction() as session:
            last = log.newest(session)
            statement = {
                "v": 1,
                "file": path.name,
                "format": "csv" if as_csv else "jsonl",
                "filter": wanted.model_dump(mode="json", exclude={"limit", "before"}),
                **_written(session, wanted, last, path, as_csv=as_csv),
                "checkpoint": last.note,
                "keys": signer.public_keys(last.origin),
            }
        beside.write_text(json.dumps(statement, ensure_ascii=False, indent=2) + "\n")
    except BaseException as error:
        path.unlink(missing_ok=True)
        beside.unlink(missing_ok=True)
        if isinstance(error, OSError):
            raise UsageError(f"{path} cannot be written ({error.strerror}).") from error
        raise
    finally:
        snapshot.close()
    return statement


def _written(
    session: Session, wanted: Search, last: Checkpoint, path: Path, *, as_csv: bool
) -> Document:
    """Count, first and last position, and the hash of the file that this writes."""
    digest = hashlib.sha256()
    first: int | None = None
    position: int | None = None
    count = 0
    with path.open("wb") as file:
        for part in [_csv_line(COLUMNS)] if as_csv else []:
            digest.update(part)
            file.write(part)
        for position, entry in _found(session, wanted, last):
            line = (_csv_row if as_csv else _json_row)(position, entry)
            digest.update(line)
            file.write(line)
            first = position if first is None else first
            count += 1
    return {"count": count, "first": first, "last": position, "sha256": digest.hexdigest()}


def _found(session: Session, wanted: Search, last: Checkpoint) -> Iterator[tuple[int, Entry]]:
    query = select(Position.position, Entry).join(Entry, Entry.id == Position.entry_id)
    covered = query.where(Position.position < last.size, *conditions(wanted))
    ordered = covered.order_by(Position.position).execution_options(yield_per=_PAGE)
    yield from session.execute(ordered)


def _json_row(position: int, entry: Entry) -> bytes:
    line = json.dumps({"position": position, **as_json(entry)}, ensure_ascii=False)
    return line.encode() + b"\n"


def _csv_row(position: int, entry: Entry) -> bytes:
    row = as_json(entry)
    body = row.pop("body") or {}
    flat = {**body, **row, "position": position}
    return _csv_line([flat.get(name) for name in COLUMNS])


def _csv_line(values: Iterable[Any]) -> bytes:
    line = io.StringIO()
    csv.writer(line, lineterminator="\r\n").writerow(map(cell, values))
    return line.getvalue().encode()
