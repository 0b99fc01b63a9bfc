"""Orphans: which records the policies want, and how old an orphan must be."""

from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from pydantic import ValidationError

from jobs.base import Delete
from tests.jobs.damage import DUE, Damage
from tests.jobs.policy_of import policy_of
from tests.worker.scenario import NOW, old
from worker.registry import jobs

JOB = jobs()["orphan_repair"]
YOUNG = NOW - timedelta(minutes=59)
USER = ObjectId()


def _orphans(dated_by: str) -> Damage:
    """Half of the sound records have their parent, and half are too young to be judged."""
    due = [{"userId": ObjectId(), dated_by: old(1)} for _ in range(DUE)]
    sound = [{"userId": USER, dated_by: old(1)} for _ in range(DUE // 2)]
    sound += [{"userId": ObjectId(), dated_by: YOUNG} for _ in range(DUE // 2)]
    return Damage(due, sound, {"users": [{"_id": USER}]})


DAMAGE: dict[str, Damage] = {
    "orphaned-sales": _orphans("createdAt"),
    "orphaned-forecasts": _orphans("createdAt"),
    "orphaned-sessions": _orphans("lastActivity"),
}


WHERE = {"field": "userId", "parent": "users"}
NOT_IN = {"not_in": {**WHERE, "key": "_id"}}
BY_ID = {"older_than": {"field": "_id", "age": "2h"}}
BY_DATE = {"older_than": {"field": "at", "age": "2h"}}


def _words(**options: Any) -> Any:
    policy = policy_of("orphan_repair", **WHERE, min_age="2h", **options)
    return JOB.selector(policy).model_dump(mode="json")


def test_without_a_date_the_object_id_says_how_old_an_orphan_is() -> None:
    assert _words() == {"all": [NOT_IN, BY_ID]}


def test_a_date_comes_before_the_object_id() -> None:
    has_date = {"is_type": {"field": "at", "type": "date"}}
    otherwise = {"all": [{"none": [has_date]}, BY_ID]}
    assert _words(dated_by="at") == {"all": [NOT_IN, {"any": [BY_DATE, otherwise]}]}


def test_in_sql_a_date_alone_says_how_old_an_orphan_is() -> None:
    assert _words(target="sql", dated_by="at") == {"all": [NOT_IN, BY_DATE]}
    with pytest.raises(ValidationError, match="name a date in dated_by"):
        _words(target="sql")


def test_an_orphan_is_left_for_an_hour_unless_the_policy_says_otherwise() -> None:
    options = policy_of("orphan_repair", **WHERE).options.model_dump(mode="json")
    assert (options["min_age"], options["key"]) == ("1h", "_id")


def test_every_orphan_goes() -> None:
    assert JOB.change(policy_of("orphan_repair", **WHERE), {"_id": 1}) == Delete()
