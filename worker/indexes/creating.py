"""Creating one index at a time, on record before it begins and after it ended."""

from collections.abc import Mapping, Sequence
from typing import Any

from policies.errors import TendError
from worker.audit import entries
from worker.database import Database
from worker.errors import UsageError
from worker.indexes.wanted import Wanted
from worker.operations import Person
from worker.targets.indexes import Index, Indexes


class IndexBusy(TendError):
    """Another index is being built, or this one is there already."""

    code = "index_busy"


def serving(each: Wanted, existing: Mapping[str, Sequence[Index]]) -> Index | None:
    """The index that does what is wanted, under whatever name it has."""
    found = existing.get(each.collection, ())
    return next((index for index in found if index.serves(each.fields, unique=each.unique)), None)


def must_be_free(each: Wanted, existing: Mapping[str, Sequence[Index]]) -> None:
    """Raise unless the collection is there, lacks this index, and no other is being built."""
    for collection, indexes in existing.items():
        for index in indexes:
            if index.is_building:
                raise IndexBusy(
                    f"{collection}.{index.name} is being built; wait for it, two builds at once "
                    "are a load that an application feels."
                )
    if each.collection not in existing:
        what = "table" if each.target == "sql" else "collection"
        raise UsageError(f"there is no {what} {each.collection} to create an index of.")
    found = serving(each, existing)
    if found is not None:
        raise IndexBusy(f"{each.name} is there already, as {found.name}.")


def left_invalid(each: Wanted, existing: Mapping[str, Sequence[Index]]) -> list[str]:
    """The names of what earlier builds of this index left when they failed."""
    found = existing.get(each.collection, ())
    return [index.name for index in found if index.is_invalid and index.fields == each.fields]


def create(
    db: Database,
    indexes: Indexes,
    each: Wanted,
    estimated: int,
    person: Person,
    invalid: Sequence[str] = (),
) -> str:
    """Build the index and return its name in the database; both ends have their entry.

    What earlier builds left `invalid` is dropped first.
    """
    named = {"index": each.name}
    asked = {**named, "reason": person.reason, "estimated_bytes": estimated}
    dropping = {"dropping": list(invalid)} if invalid else {}
    _record(db, person, "index_requested", {**asked, **dropping})
    try:
        for name in invalid:
            indexes.drop_invalid(each.collection, name)
        name = indexes.create(each.collection, each.fields, unique=each.unique)
    except TendError as error:
        _record(db, person, "index_failed", {**named, "code": error.code})
        raise
    _record(db, person, "index_created", named)
    return name


def _record(db: Database, person: Person, action: str, detail: dict[str, Any]) -> None:
    with db.transaction() as session:
        entries.append(session, action, person.actor, detail=detail)
