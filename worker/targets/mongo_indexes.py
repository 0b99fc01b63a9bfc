"""The indexes of a MongoDB database: which there are, how large, and making one more."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

import bson
import pymongo
from pymongo import MongoClient
from pymongo.errors import DuplicateKeyError, OperationFailure

from worker.targets.indexes import Index, RecordsRepeated
from worker.targets.mongo_errors import UNAUTHORIZED, translated

Document = Mapping[str, Any]

SECONDS = 10
SAMPLE = 100
_OVERHEAD = 4
"""Bytes of an entry beside its values; prefixes of neighbours are shared."""
_TEXT_HEADER = 5


class MongoIndexes:
    """One MongoDB database, for its indexes alone; used as a context manager."""

    goes_on = True

    def __init__(self, url: str) -> None:
        with translated("MongoDB"):
            self._client: MongoClient[dict[str, Any]] = MongoClient(
                url, appname="tend", serverSelectionTimeoutMS=5000
            )
            self._database = self._client.get_default_database()
        self._where = f"MongoDB database {self._database.name}"

    def __enter__(self) -> "MongoIndexes":
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def existing(self) -> dict[str, list[Index]]:
        with translated(self._where), pymongo.timeout(SECONDS):
            names = self._database.list_collection_names(filter={"type": "collection"})
            ours = {name: self._of(name) for name in names if not name.startswith("system.")}
            return {name: indexes for name, indexes in ours.items() if indexes is not None}

    def estimate(self, collection: str, fields: Sequence[str]) -> int:
        with translated(self._where), pymongo.timeout(SECONDS):
            records = int(self._stats(collection).get("count", 0))
            sample = list(
                self._database[collection].aggregate(
                    [{"$sample": {"size": SAMPLE}}, {"$project": dict.fromkeys(fields, 1)}]
                )
            )
        sizes = [_entry_size(record, fields) for record in sample]
        return records * sum(sizes) // len(sizes) if sizes else 0

    def create(self, collection: str, fields: Sequence[str], *, unique: bool = False) -> str:
        where = f"{self._where}, collection {collection}"
        keys = [(field, 1) for field in fields]
        with translated(where):
            if not unique:
                return self._database[collection].create_index(keys)
            try:
                return self._database[collection].create_index(
                    keys,
                    name="_".join([*(f"{field}_1" for field in fields), "unique"]),
                    unique=True,
                    partialFilterExpression={field: {"$exists": True} for field in fields},
                )
            except DuplicateKeyError as error:
                raise RecordsRepeated(where, fields, _repeated(collection, fields)) from error

    def drop_invalid(self, collection: str, name: str) -> None:
        """MongoDB removes by itself what a failed build left."""

    def progress(self, collection: str) -> str | None:
        building = {"command.createIndexes": collection, "progress": {"$exists": True}}
        try:
            with pymongo.timeout(SECONDS):
                running = self._client.admin.aggregate(
                    [{"$currentOp": {"allUsers": True}}, {"$match": building}]
                )
                for each in running:
                    done, total = each["progress"]["done"], each["progress"]["total"]
                    return f"{int(done):,} of {int(total):,} records"
        except OperationFailure:
            return None
        return None

    def _of(self, collection: str) -> list[Index] | None:
        try:
            stats = self._stats(collection)
        except OperationFailure as error:
            if error.code == UNAUTHORIZED:
                return None
            raise
        sizes, building = stats.get("indexSizes", {}), stats.get("indexBuilds", [])
        return [
            Index(
                name=each["name"],
                fields=tuple(each["key"]),
                size=None if each["name"] in building else sizes.get(each["name"]),
                is_whole=not each.keys() & {"partialFilterExpression", "sparse", "hidden"},
                is_building=each["name"] in building,
                is_unique=bool(each.get("unique")) and not each.get("hidden"),
            )
            for each in self._database[collection].list_indexes()
        ]

    def _stats(self, collection: str) -> Document:
        return self._database.command("collStats", collection)


def _repeated(collection: str, fields: Sequence[str]) -> str:
    match = json.dumps({field: {"$exists": True} for field in fields})
    group = json.dumps({"_id": {field: f"${field}" for field in fields}, "n": {"$sum": 1}})
    stages = f'{{"$match": {match}}}, {{"$group": {group}}}, {{"$match": {{"n": {{"$gt": 1}}}}}}'
    return f"db.{collection}.aggregate([{stages}])"


def _entry_size(record: Document, fields: Sequence[str]) -> int:
    return _OVERHEAD + sum(_size(record, field) for field in fields)


def _size(record: Any, field: str) -> int:
    for name in field.split("."):
        record = record.get(name) if isinstance(record, Mapping) else None
    if isinstance(record, str):
        return len(record.encode())
    return len(bson.encode({"": record})) - _TEXT_HEADER - 2
