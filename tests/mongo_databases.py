"""MongoDB databases that tests have one after another, each as if it were new.

To make one with its indexes and to drop it costs a test several times what emptying it does, and
a tenth of a second of waiting. What the server has on record decides: where that is not, to the
last flag, what it was when the database was new, nobody gets the database again.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from pymongo import IndexModel, MongoClient
from pymongo.database import Database

Indexes = Mapping[str, Sequence[str | tuple[str, ...]]]
"""The fields with an index, or those of an index of several, by collection."""
Record = dict[str, Any]

INDEXES: dict[str, Indexes] = {
    "scenario": {
        "salesData": ("createdAt", "quantity", "revenue", "date"),
        "sessions": ("expiresAt", "isActive"),
    },
    "tend": {
        "salesData": ("createdAt", "quantity", "revenue", "cost", "date"),
        "sessions": ("expiresAt", "isActive"),
    },
}
"""What the database of a test holds from the start, by the fixture the test asks for."""
MANY = 1_000
"""More documents than these are quicker dropped with their collection than one by one."""


@dataclass
class MongoDatabases:
    admin: MongoClient[dict[str, Any]]
    _spare: dict[str, list[str]] = field(default_factory=dict)
    _new: dict[str, Record] = field(default_factory=dict)

    @contextmanager
    def database(self, indexes: Indexes, *, alone: bool = False) -> Iterator[str]:
        """The name of a database with these indexes and nothing else.

        What other processes did in it may go on after they ended: say so with `alone`, and it
        is given to nobody else.
        """
        kind = repr(sorted(indexes.items()))
        spare = self._spare.setdefault(kind, [])
        name = spare.pop() if spare and not alone else self._create(kind, indexes)
        yield name
        if not alone and self._is_as_new(self.admin[name], indexes, self._new[kind]):
            spare.append(name)
        else:
            self.admin.drop_database(name)

    def _create(self, kind: str, indexes: Indexes) -> str:
        name = fresh_name()
        make_indexes(self.admin[name], indexes)
        self._new.setdefault(kind, self._record(name))
        return name

    def _is_as_new(self, database: Database[dict[str, Any]], indexes: Indexes, new: Record) -> bool:
        if self._is_at_work(database.name):
            return False
        gone = set(_emptied(database, self._record(database.name), new))
        make_indexes(database, {name: indexes[name] for name in indexes if name in gone})
        profiles = database.command("profile", -1)["was"]
        return not profiles and self._record(database.name) == new

    def _is_at_work(self, name: str) -> bool:
        """Whether an operation of its last user has not ended."""
        of_it: Record = {"$match": {"ns": {"$regex": f"^{name}\\."}}}
        working = self.admin.admin.aggregate([{"$currentOp": {"allUsers": True}}, of_it])
        return any(True for _ in working)

    def _record(self, name: str) -> Record:
        """All that is written of a database: collections, multikey flags, users, roles, ..."""
        of_it: Record = {"$match": {"db": name}}
        users: Record = {"$unionWith": {"coll": "system.users", "pipeline": [of_it]}}
        roles: Record = {"$unionWith": {"coll": "system.roles", "pipeline": [of_it]}}
        found = self.admin.admin.aggregate([{"$listCatalog": {}}, of_it, users, roles])
        return {said.get("name") or said["_id"]: _plain(said) for said in found}


def joined(*parts: Indexes) -> Indexes:
    """All of them, each index once."""
    found: dict[str, dict[str | tuple[str, ...], None]] = {}
    for part in parts:
        for collection, names in part.items():
            found.setdefault(collection, {}).update(dict.fromkeys(names))
    return {collection: tuple(names) for collection, names in found.items()}


def make_indexes(database: Database[dict[str, Any]], indexes: Indexes) -> None:
    for collection, names in indexes.items():
        keys = [name if isinstance(name, str) else [(part, 1) for part in name] for name in names]
        database[collection].create_indexes([IndexModel(each) for each in keys])


def fresh_name() -> str:
    return f"test_{uuid4().hex[:16]}"


def _emptied(database: Database[dict[str, Any]], record: Record, new: Record) -> Iterable[str]:
    """Leave only collections that are as they were, and empty; yields the others' names."""
    for name in new.keys() - record.keys():
        yield name
    for name, said in record.items():
        is_plain = said.get("type") == "collection" and not name.startswith("system.")
        if said == new.get(name) and database[name].estimated_document_count() <= MANY:
            database[name].delete_many({})
            database.command("planCacheClear", name)
        elif is_plain:
            database.drop_collection(name)
            yield name


def _plain(said: dict[str, Any]) -> dict[str, Any]:
    """Without the names that differ from one database, and one collection, to the next."""
    said = {key: said[key] for key in said if key not in {"db", "ns", "ident", "idxIdent"}}
    if "md" in said:
        said["md"].pop("ns")
        said["md"]["options"].pop("uuid", None)
    return said
