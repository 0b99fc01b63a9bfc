"""Where a policy's records are, as the application has them: a collection or a table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol
from uuid import uuid4

from pymongo import IndexModel
from sqlalchemy import Engine, func, inspect, select, text

from tests.jobs.peak_beyond import TABLES
from tests.worker.scenario import NOW, Scenario
from worker.tables import Alert, Doorbell, Notice, Run

Records = Iterable[dict[str, Any]]


class Place(Protocol):
    def put(self, collection: str, records: Records) -> None: ...

    def index(self, collection: str, names: Sequence[str]) -> None: ...

    def images(self, collection: str) -> dict[Any, Any]:
        """Every record by its key, to the byte, without Tend's own summaries."""

    def count(self, collection: str) -> int: ...

    def has_fences(self) -> bool: ...


@dataclass
class MongoPlace:
    scenario: Scenario

    def put(self, collection: str, records: Records) -> None:
        copies = [dict(record) for record in records]
        names = {name for record in copies for name in record} | {"cost", "revenue"}
        place = self.scenario.shop[collection]
        place.create_indexes([IndexModel(name) for name in sorted(names - {"_id"})])
        place.insert_many(copies)  # afterwards: to build an index takes much longer

    def index(self, collection: str, names: Sequence[str]) -> None:
        self.scenario.shop[collection].create_index([(name, 1) for name in names])

    def images(self, collection: str) -> dict[Any, Any]:
        found = self.scenario.contents(collection)
        return {key: image for key, image in found.items() if not str(key).startswith("tend:")}

    def count(self, collection: str) -> int:
        return self.scenario.shop[collection].count_documents({})

    def has_fences(self) -> bool:
        return "tend_fences" in self.scenario.shop.list_collection_names()


@dataclass
class SqlPlace:
    engine: Engine

    def __post_init__(self) -> None:
        with self.engine.begin() as connection:
            for statement in TABLES:
                connection.execute(text(statement))

    def put(self, collection: str, records: Records) -> None:
        first = len(self.images(collection))
        with self.engine.begin() as connection:
            for number, record in enumerate(records, start=first):
                row = {"id": number, **record}
                values = ", ".join(f":{name}" for name in row)
                into = f"INSERT INTO {collection} ({', '.join(row)}) VALUES ({values})"  # noqa: S608 - our own names
                connection.execute(text(into), row)

    def index(self, collection: str, names: Sequence[str]) -> None:
        with self.engine.begin() as connection:
            connection.execute(text(f"CREATE INDEX ON {collection} ({', '.join(names)})"))

    def images(self, collection: str) -> dict[Any, Any]:
        with self.engine.connect() as connection:
            rows = connection.exec_driver_sql(f"SELECT * FROM {collection}")  # noqa: S608 - our own names
            return {row.id: repr(tuple(row)) for row in rows}

    def count(self, collection: str) -> int:
        return len(self.images(collection))

    def has_fences(self) -> bool:
        return inspect(self.engine).has_table("tend_fences")


@dataclass
class ControlPlace:
    """Tend's own database, where the run under test is a record like the others."""

    scenario: Scenario

    def put(self, collection: str, records: Records) -> None:
        with self.scenario.engine.database.transaction() as session:
            for record in records:
                if collection in _TOLD:
                    row = _OWN[collection](cause=uuid4().hex, **{**_TOLD[collection], **record})
                    session.add(row)
                    continue
                run = Run(**{**_RUN, **(record if collection == "runs" else {})})
                session.add(run)
                session.flush()
                if collection == "doorbells":
                    session.add(Doorbell(run_id=run.id, **record))

    def index(self, collection: str, names: Sequence[str]) -> None:
        """Migrations make them."""

    def images(self, collection: str) -> dict[Any, Any]:
        rows = select(_OWN[collection])
        if collection == "runs":
            rows = rows.where(Run.policy == _RUN["policy"])
        with self.scenario.engine.database.engine.connect() as connection:
            return {row.id: repr(tuple(row)) for row in connection.execute(rows)}

    def count(self, collection: str) -> int:
        with self.scenario.engine.database.transaction() as session:
            return int(session.scalar(select(func.count()).select_from(_OWN[collection])) or 0)

    def has_fences(self) -> bool:
        return inspect(self.scenario.engine.database.engine).has_table("tend_fences")


_OWN: dict[str, Any] = {"runs": Run, "doorbells": Doorbell, "alerts": Alert, "notices": Notice}
_TOLD: dict[str, dict[str, Any]] = {
    "alerts": {"event": "resources", "severity": "P2", "text": b"", "at": NOW},
    "notices": {"urgent": False, "text": b"", "not_before": NOW},
}
_RUN: dict[str, Any] = {
    "policy": "of-old",
    "policy_version": "0" * 64,
    "policy_text": "{}",
    "environment": "test",
    "state": "succeeded",
    "trigger": "manual",
    "apply_after_plan": True,
    "actor": "somebody",
    "actor_proof": "claimed",
    "reason": "long ago",
    "created_at": NOW,
    "mirrored_at": NOW,
}
