"""Parents found by walking past them are those found by looking each up."""

from typing import Any

from bson import ObjectId
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pymongo.database import Database

from tests.examples import examples
from worker.targets.mongo_parents import MongoParents

IDS = st.sets(st.integers(0, 60).map(lambda number: ObjectId(f"{number:024x}")), max_size=50)


@settings(max_examples=examples(60), suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(there=IDS, asked=IDS.filter(bool))
def test_the_keys_without_a_parent_are_found_however_many_parents_lie_between(
    mongo_database: Database[dict[str, Any]], there: set[ObjectId], asked: set[ObjectId]
) -> None:
    users = mongo_database.users
    users.delete_many({})
    users.insert_many([{"_id": "a name"}, *({"_id": key} for key in there)])
    found = MongoParents(users, "_id").lacks_ids(sorted(asked, reverse=True))
    assert set(found) == (asked - there if there else set())
