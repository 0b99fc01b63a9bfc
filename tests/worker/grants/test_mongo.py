"""The printed MongoDB roles, made on a real server: they suffice for what they say, and no more."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.database import Database

from demo.servers import Mongo
from tests.worker.cli.conftest import AMPLE, Tend, ago, bare, logging_as_it_was, tend, unmigrated
from worker.grants import mongo

__all__ = ["bare", "logging_as_it_was", "tend", "unmigrated"]
PASSWORD = "hunter2"  # noqa: S105 - of users that live for one test
QUARANTINING = (
    AMPLE
    + """
job: value_repair
description: A negative revenue is moved aside.
options:
  collection: salesData
  repairs:
    - {field: revenue, when: negative, quarantine: 30d}
undo: 7d
"""
)


@pytest.fixture
def users(
    tend: Tend,
    mongo_server: Mongo,
    mongo_admin: MongoClient[dict[str, Any]],
    mongo_database: Database[dict[str, Any]],
) -> Iterator[dict[str, str]]:
    """The roles and users that `tend doctor --grants` prints, and the users' URLs."""
    tend.policy("aside", QUARANTINING)
    database = mongo_admin[mongo_database.name]
    printed = tend("doctor", "--grants")
    assert printed.code == 0
    made = re.findall(r"^db\.createRole\((\{.*?^\})\)", printed.out, re.DOTALL | re.MULTILINE)
    for text in made:
        role = json.loads(text)
        name = role.pop("role")
        database.command("createRole", name, **role)
    asked = re.findall(r"^db\.createUser\((\{.*)\)$", printed.out, re.MULTILINE)
    names = []
    for text in asked:
        user = re.fullmatch(r'\{user: "([\w-]+)", pwd: passwordPrompt\(\), roles: (.*)\}', text)
        assert user is not None
        database.command("createUser", user[1], pwd=PASSWORD, roles=json.loads(user[2]))
        names.append(user[1])
    where = f"127.0.0.1:{mongo_server.port}/{database.name}?replicaSet=tend"
    both = zip((mongo.TRIAL, mongo.WORK), names, strict=True)
    yield {role: f"mongodb://{name}:{PASSWORD}@{where}" for role, name in both}
    database.command("dropAllUsersFromDatabase")
    database.command("dropAllRolesFromDatabase")


def act_as(tend: Tend, work: str, trial: str) -> None:
    tend.setting("TEND_MONGO_URL", work)
    tend.setting("TEND_MONGO_READ_URL", trial)


def test_the_role_for_a_trial_suffices_to_plan_and_to_look(
    tend: Tend, users: dict[str, str]
) -> None:
    act_as(tend, users[mongo.TRIAL], users[mongo.TRIAL])
    tend.old_sales(5)
    assert tend.json("plan", "sales-retention")["planned"] == 5
    assert tend.json("explain", "mongo/salesData/1")["records"]
    rows = {row["policy"]: row for row in tend.json("status")["policies"]}
    assert rows["sales-retention"]["overdue"]["count"] == 5
    (told,) = tend.json("report", "retention", "--policy", "sales-retention")["policies"]
    assert told["records"] == 5


def test_the_role_for_a_trial_changes_nothing(tend: Tend, users: dict[str, str]) -> None:
    act_as(tend, users[mongo.TRIAL], users[mongo.TRIAL])
    tend.policy("sales-retention", AMPLE + "throttle: {missing: go}\n")
    tend.old_sales(5)
    refused = tend("run", "sales-retention", "--reason", "x", "--inline")
    assert refused.code == 1
    assert "does not allow this user the operation" in refused.err
    assert tend.shop.salesData.count_documents({}) == 5
    assert "tend_fences" not in tend.shop.list_collection_names()


def test_the_role_for_working_suffices_for_whole_runs_and_their_undo(
    tend: Tend, users: dict[str, str]
) -> None:
    act_as(tend, users[mongo.WORK], users[mongo.TRIAL])
    tend.old_sales(30)
    tend.shop.salesData.insert_one({"_id": "aside", "createdAt": ago(1), "revenue": -5})
    for number, policy in enumerate(("aside", "sales-retention"), start=1):
        run = tend.json("run", policy, "--reason", "x", "--inline")
        assert (run["state"], run["remaining"]["total"]) == ("succeeded", 0)
        assert tend.shop.auditlogs.count_documents({}) == number
    assert tend.shop.salesData.count_documents({}) == 0
    for run_id in ("r-2", "r-1"):
        assert tend.json("undo", run_id, "--reason", "x", "--inline")["state"] == "undone"
    assert tend.shop.salesData.count_documents({}) == 31


def test_the_doctor_is_content_with_both_roles(tend: Tend, users: dict[str, str]) -> None:
    act_as(tend, users[mongo.WORK], users[mongo.TRIAL])
    checks = {check["check"]: check for check in tend("doctor", "--json").json["checks"]}
    assert checks["mongodb_user"]["status"] == "ok"
    assert checks["mongodb_read_user"]["status"] == "ok"
    assert checks["mongodb_indicators"]["status"] == "ok"


@pytest.mark.parametrize("role", [mongo.TRIAL, mongo.WORK])
def test_neither_role_reaches_what_no_policy_names(
    tend: Tend, users: dict[str, str], role: str
) -> None:
    tend.shop.secrets.insert_one({"_id": 1})
    with MongoClient[dict[str, Any]](users[role]) as client:
        with pytest.raises(Exception, match="not authorized"):
            client[tend.shop.name].secrets.find_one()
        with pytest.raises(Exception, match="not authorized"):
            client[tend.shop.name].secrets.drop()


def test_the_roles_are_made_without_asking_a_server(tend: Tend) -> None:
    tend.setting("TEND_MONGO_URL", "mongodb://127.0.0.1:1/shop")
    tend.patch.delenv("TEND_MONGO_READ_URL")
    trial, work = tend.json("doctor", "--grants")["mongo"]
    assert {each["resource"]["db"] for each in trial["privileges"]} == {"shop"}
    writing = {"insert", "update", "remove", "createIndex", "createCollection"}
    assert not writing & {action for each in trial["privileges"] for action in each["actions"]}
    named = {each["resource"]["collection"] for each in work["privileges"]}
    assert {"salesData", "sessions", "tend_fences", "auditlogs"} <= named


def test_nothing_can_be_granted_on_a_site_without_a_target(tend: Tend, tmp_path: Path) -> None:
    for name in ("TEND_MONGO_URL", "TEND_MONGO_READ_URL"):
        tend.patch.delenv(name)
    assert tend("doctor", "--grants").code == 2
    tend.setting("TEND_SQL_URL", f"sqlite:///{tmp_path / 'shop.sqlite'}")
    (tmp_path / "shop.sqlite").touch()
    told = tend("doctor", "--grants")
    assert (told.code, told.out.startswith("-- SQLite knows no users")) == (0, True)
