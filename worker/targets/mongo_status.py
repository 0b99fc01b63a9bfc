"""How a MongoDB is, for probes: commands that only tell, and pipelines that only read."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import pymongo
from pymongo import MongoClient
from pymongo.errors import OperationFailure, PyMongoError

from jobs.probing import NotTold
from worker.targets.mongo_errors import UNAUTHORIZED, translate

SECONDS = 10
TELLING = frozenset({"hello", "serverStatus", "replSetGetStatus", "replSetGetConfig", "collStats"})
_WRITING = frozenset({"$out", "$merge"})
_UNANSWERED = frozenset(
    {
        26,  # no such collection
        59,  # no such command
        76,  # no replica set
        94,  # not yet initiated
        115,  # command not supported
        303,  # feature not supported
        304,  # the same, of DocumentDB
        8000,  # Atlas
        16436,  # no such operator in a pipeline
        40324,  # no such stage
    }
)
"""What a server says that does not know a question, or has no replicas: it is not ill."""


class MongoStatus:
    """Asks by the user who reads for plans; safe to share between threads."""

    def __init__(self, client: MongoClient[Any], database: str, name: str) -> None:
        self._client = client
        self._database = database
        self._name = name

    @property
    def database(self) -> str:
        return self._database

    def command(self, name: str, argument: Any = 1, **more: Any) -> Mapping[str, Any]:
        if name not in TELLING:
            raise AssertionError(f"{name} is no command that only tells")
        database = self._database if name == "collStats" else "admin"
        with self._asked(name):
            found: Mapping[str, Any] = self._client[database].command(name, argument, **more)
        return found

    def operations(self, pipeline: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        _must_read(pipeline)
        whole = [{"$currentOp": {"allUsers": True, "idleConnections": False}}, *pipeline]
        with self._asked("$currentOp"):
            return list(self._client["admin"].aggregate(whole))

    def aggregate(
        self, database: str, collection: str, pipeline: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any]]:
        _must_read(pipeline)
        with self._asked(f"{database}.{collection}"):
            return list(self._client[database][collection].aggregate(list(pipeline)))

    def ends(self, database: str, collection: str, field: str) -> tuple[Any, Any] | None:
        records = self._client[database][collection]
        with self._asked(f"{database}.{collection}"):
            found = [
                records.find_one(projection={field: 1}, sort=[("$natural", order)])
                for order in (pymongo.ASCENDING, pymongo.DESCENDING)
            ]
        first, last = (each and each.get(field) for each in found)
        return None if first is None or last is None else (first, last)

    @contextmanager
    def _asked(self, what: str) -> Iterator[None]:
        """A deadline, and a word where the server refuses: that is no failure of its own."""
        try:
            with pymongo.timeout(SECONDS):
                yield
        except OperationFailure as error:
            if error.code == UNAUTHORIZED:
                raise NotTold(
                    f"the user who reads may not ask for {what}; grant it clusterMonitor."
                ) from error
            if error.code in _UNANSWERED:
                raise NotTold(f"this server does not answer {what} (code {error.code}).") from error
            raise translate(error, self._name) from error
        except PyMongoError as error:
            raise translate(error, self._name) from error


def _must_read(pipeline: Sequence[Mapping[str, Any]]) -> None:
    if any(_WRITING & stage.keys() for stage in pipeline):
        raise AssertionError("a probe does not write")
