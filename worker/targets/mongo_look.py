"""A MongoDB collection as a person asks about it: every question ends in seconds."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

import pymongo
from pymongo.database import Database

from jobs.base import Item
from policies.selectors import Selector
from worker.errors import IndexMissing
from worker.targets.mongo_errors import translated
from worker.targets.mongo_parents import orphaned_among
from worker.targets.mongo_select import compile_selector

SECONDS = 5
FOUND = 10
"""Records that one value may name; a field that names more is no name."""


class MongoLook:
    """Reads where plans are read, and has no method that writes."""

    def __init__(self, reads: Database[Mapping[str, Any]], collection: str, where: str) -> None:
        self._reads = reads
        self._records = reads[collection]
        self._where = where

    def find(self, values: Sequence[Any], field: str | None = None) -> list[Item]:
        """Raises `IndexMissing` when a field has no index: looking would read everything."""
        name = field or "_id"
        condition = {name: {"$in": list(values)}}
        with translated(self._where), pymongo.timeout(SECONDS):
            if field is not None and not self._is_indexed(field):
                raise IndexMissing(f"{self._where} has no index on {field} to look by.")
            found = self._records.find(condition).limit(FOUND)
            return [Item(record["_id"], record) for record in found]

    def matches(self, selector: Selector, as_of: datetime, key: Any) -> bool:
        with translated(self._where), pymongo.timeout(SECONDS):
            orphaned = orphaned_among(self._records, selector, [key])
            asked = compile_selector(selector, as_of, orphaned)
            condition = {"$and": [{"_id": {"$eq": key}}, asked]}
            return self._records.count_documents(condition, hint={"_id": 1}, limit=1) == 1

    def _is_indexed(self, field: str) -> bool:
        indexes = self._records.list_indexes()
        return any(next(iter(index["key"])) == field for index in indexes)
