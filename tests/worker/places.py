"""Where a policy's records are, as the application has them: a collection or a table."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import Engine, inspect, text

from tests.jobs.peak_beyond import TABLES
from tests.worker.scenario import Scenario

Records = Iterable[dict[str, Any]]


class Place(Protocol):
    def put(self, collection: str, records: Records) -> None: ...

    def index(self, collection: str, names: Sequence[str]) -> None: ...

    def images(self, collection: str) -> dict[Any, Any]:
        """Every record by its key, to the byte, without Tend's own summaries."""

    def has_fences(self) -> bool: ...


@dataclass
class MongoPlace:
    scenario: Scenario

    def put(self, collection: str, records: Records) -> None:
        copies = [dict(record) for record in records]
        self.scenario.shop[collection].insert_many(copies)
        for name in {name for record in copies for name in record} | {"cost", "revenue"}:
            self.scenario.shop[collection].create_index(name)

    def index(self, collection: str, names: Sequence[str]) -> None:
        self.scenario.shop[collection].create_index([(name, 1) for name in names])

    def images(self, collection: str) -> dict[Any, Any]:
        found = self.scenario.contents(collection)
        return {key: image for key, image in found.items() if not str(key).startswith("tend:")}

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

    def has_fences(self) -> bool:
        return inspect(self.engine).has_table("tend_fences")
