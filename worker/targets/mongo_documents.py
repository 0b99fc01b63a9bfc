"""What a task job gets of MongoDB: documents to read, and writes that ask their condition."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

import pymongo
from pymongo.database import Database
from pymongo.errors import DuplicateKeyError

from jobs.base import Record
from worker.targets.mongo_errors import translated

SECONDS = 30
PAGE = 2_000


class MongoDocuments:
    """Reads, each answered within seconds or not at all."""

    def __init__(self, database: Database[Mapping[str, Any]]) -> None:
        self._database = database

    def find(
        self,
        collection: str,
        where: Mapping[str, Any],
        fields: Sequence[str],
        *,
        order: str | None = None,
        limit: int = 0,
    ) -> Iterator[Record]:
        with translated(f"MongoDB collection {collection}"):
            found = self._database[collection].find(
                where,
                list(fields),
                sort=None if order is None else [_direction(order)],
                limit=limit,
                batch_size=PAGE,
                max_time_ms=SECONDS * 1000,
            )
            yield from found

    def tally(
        self, collection: str, field: str, begin: datetime, end: datetime
    ) -> tuple[int, int, int]:
        after = {"$subtract": [f"${field}", begin]}
        summed = {
            "_id": None,
            "count": {"$sum": 1},
            "sum": {"$sum": after},
            "squares": {"$sum": {"$multiply": [after, after]}},
        }
        pipeline: list[dict[str, Any]] = [
            {"$match": {field: {"$gte": begin, "$lte": end}}},
            {"$group": summed},
        ]
        with translated(f"MongoDB collection {collection}"):
            found = list(self._database[collection].aggregate(pipeline, maxTimeMS=SECONDS * 1000))
        return (found[0]["count"], found[0]["sum"], found[0]["squares"]) if found else (0, 0, 0)

    def unique(self, collection: str) -> Sequence[Sequence[str]]:
        with translated(f"MongoDB collection {collection}"), pymongo.timeout(SECONDS):
            indexes = self._database[collection].list_indexes()
            return [tuple(each["key"]) for each in indexes if each.get("unique")]


def _direction(order: str) -> tuple[str, int]:
    return (order[1:], pymongo.DESCENDING) if order.startswith("-") else (order, pymongo.ASCENDING)


class MongoGuardedDocuments(MongoDocuments):
    """The same, with writes of one document each."""

    def update(
        self,
        collection: str,
        where: Mapping[str, Any],
        fields: Record,
        unset: Sequence[str] = (),
    ) -> bool:
        change: dict[str, Any] = {"$set": dict(fields)} if fields else {}
        if unset:
            change["$unset"] = dict.fromkeys(unset, "")
        with translated(f"MongoDB collection {collection}"), pymongo.timeout(SECONDS):
            return self._database[collection].update_one(where, change).matched_count == 1

    def insert(self, collection: str, document: Record) -> bool:
        with translated(f"MongoDB collection {collection}"), pymongo.timeout(SECONDS):
            try:
                self._database[collection].insert_one(dict(document))
            except DuplicateKeyError as error:
                if "_id" not in (error.details or {}).get("keyPattern", {"_id": 1}):
                    raise
                return False
            return True

    def delete(self, collection: str, where: Mapping[str, Any]) -> bool:
        with translated(f"MongoDB collection {collection}"), pymongo.timeout(SECONDS):
            return self._database[collection].delete_one(where).deleted_count == 1
