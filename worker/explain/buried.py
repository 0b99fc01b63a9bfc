"""The key of a record that is gone, by a name it had, such as a session's id: archives know it."""

import time
from collections.abc import Iterator, Sequence
from typing import Any

from policies.errors import TendError
from worker.explain.store import Store, archive_objects, name_of, runs_with_keys
from worker.tables import Run
from worker.targets.base import RecordOutcome
from worker.targets.mongo_restore import value_at


def keys(
    store: Store, place: str, fields: Sequence[str], values: Sequence[Any], seconds: float
) -> list[Any]:
    """The keys that the newest run which removed such a record knows; empty when time is up."""
    until = time.monotonic() + seconds
    for number in runs_with_keys(store.database, place):
        try:
            found = [
                record.key
                for record in _removed(store, number, place, until)
                if any(value_at(record.before, field) in values for field in fields)
            ]
        except TendError:
            continue  # the search for the key itself says which run cannot be read
        if found or time.monotonic() > until:
            return found
    return []


def _removed(store: Store, number: int, place: str, until: float) -> Iterator[RecordOutcome]:
    with store.database.transaction() as session:
        run = session.get_one(Run, number)
    name = name_of(run, place)
    for key, ref in archive_objects(store, run):
        if time.monotonic() > until:
            return
        for record in store.archive.read(key, ref):
            is_gone = record.before is not None and record.written is None
            if is_gone and record.collection == name:
                yield record
