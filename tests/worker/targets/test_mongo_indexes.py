"""Builds of indexes on a real server: one that runs is seen, and estimates are near the truth."""

import threading
import time
from collections.abc import Iterator
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from tests.worker.scenario import old
from worker.indexes.creating import IndexBusy, must_be_free
from worker.indexes.wanted import Wanted
from worker.targets.mongo_indexes import MongoIndexes

ROWS = 60_000
PATIENCE = 60.0


@pytest.fixture
def indexes(mongo_url: str) -> Iterator[MongoIndexes]:
    with MongoIndexes(mongo_url) as opened:
        yield opened


@pytest.fixture
def sales(mongo_database: Database[dict[str, Any]]) -> None:
    mongo_database.sales.insert_many(
        [
            {"at": old(number * 7919 % ROWS / 100), "user": f"user-{number * 7919 % ROWS}"}
            for number in range(ROWS)
        ]
    )


@pytest.mark.usefixtures("sales")
def test_a_build_that_runs_is_seen_and_refuses_another(
    indexes: MongoIndexes,
) -> None:
    fields = ["user", "at"]
    building = threading.Thread(target=indexes.create, args=("sales", fields))
    building.start()
    refused: IndexBusy | None = None
    until = time.monotonic() + PATIENCE
    while building.is_alive() and refused is None and time.monotonic() < until:
        try:
            must_be_free(Wanted("sales", ("at",)), indexes.existing())
        except IndexBusy as error:
            refused = error
    building.join(PATIENCE)
    assert refused is not None
    assert "sales.user_1_at_1 is being built" in str(refused)
    (made,) = [each for each in indexes.existing()["sales"] if each.name == "user_1_at_1"]
    assert (made.is_building, made.serves(["user"]), made.serves(["at"])) == (False, True, False)
    assert made.size is not None


@pytest.mark.usefixtures("sales")
@pytest.mark.parametrize("fields", [["at"], ["user"], ["user", "at"]])
def test_an_estimate_is_near_what_the_index_takes(
    indexes: MongoIndexes, mongo_admin: MongoClient[dict[str, Any]], fields: list[str]
) -> None:
    estimated = indexes.estimate("sales", fields)
    name = indexes.create("sales", fields)
    mongo_admin.admin.command("fsync")  # sizes are those on disk
    until, size = time.monotonic() + PATIENCE, 0
    while size < estimated / 3 and time.monotonic() < until:
        size = next(each.size or 0 for each in indexes.existing()["sales"] if each.name == name)
    assert estimated / 3 <= size <= estimated * 3


def test_an_empty_collection_has_an_index_of_no_size(
    indexes: MongoIndexes, mongo_database: Database[dict[str, Any]]
) -> None:
    mongo_database.create_collection("empty")
    assert indexes.estimate("empty", ["a"]) == 0
