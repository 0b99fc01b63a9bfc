"""Accounts of the application, with what belongs to them and shows that somebody uses them."""

from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import policies
from policies.models import Guards, Policy
from tests import mongo_databases
from tests.worker.scenario import Scenario, old
from worker.registry import Policies

INDEXES = {
    "sessions": ("userId", "lastActivity"),
    "forecasts": ("userId", "createdAt"),
    "salesData": ("userId", "createdAt"),
    "stores": ("userId", "syncState.lastSyncedAt"),
}
COLLECTIONS = ("users", *INDEXES)
LONG_AGO, LATELY = old(800), old(700)
AMPLE = Guards(max_records=1_000_000, max_percent=100)


PREPARED = mongo_databases.joined(
    mongo_databases.INDEXES["scenario"],
    {"users": ("deletedAt",)},
    {name: (fields,) for name, fields in INDEXES.items()},
)
"""The collections there are, with the indexes that the policies ask for, too."""


def cascade(name: str = "inactive-accounts", **parts: Any) -> Policy:
    """A shipped policy that needs no approval, with ample guards; `parts` replace its keys."""
    shipped = Policies.load([Path(policies.__path__[0])]).get(name).policy
    return shipped.model_copy(update={"guards": AMPLE, "approval": "none", **parts})


def add(
    scenario: Scenario,
    key: Any,
    last_login: datetime | None = LONG_AGO,
    children: Mapping[str, int] | None = None,
    **fields: Any,
) -> None:
    """An account nobody uses, with so many old records in each collection."""
    login = {} if last_login is None else {"lastLogin": last_login}
    scenario.shop.users.insert_one({"_id": key, "email": "a@example.com", **login, **fields})
    for collection, count in (children or {}).items():
        if count:
            owned(scenario, collection, key, LONG_AGO, count)


def owned(
    scenario: Scenario, collection: str, key: Any, moment: Any = LONG_AGO, count: int = 1
) -> None:
    """Records that belong to an account, dated by the field that counts there."""
    dated = INDEXES[collection][1]
    outer, _, inner = dated.partition(".")
    value = {inner: moment} if inner else moment
    scenario.shop[collection].insert_many(
        [{"userId": key, outer: value, "number": number} for number in range(count)]
    )


def left(scenario: Scenario) -> dict[str, int]:
    """How many records each collection has."""
    return {name: scenario.shop[name].count_documents({}) for name in COLLECTIONS}


def everything(scenario: Scenario) -> dict[str, dict[Any, bytes]]:
    return {name: scenario.contents(name) for name in COLLECTIONS}
