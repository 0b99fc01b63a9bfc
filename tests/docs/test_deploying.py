"""`docs/deploying.md`: its processes, its units and the roles it gives to Tend's users."""

import json
import re
from collections.abc import Iterator
from configparser import ConfigParser
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database

from demo.servers import Mongo
from tests.docs.pages import PAGES, ROOT, blocks
from tests.worker.scenario import NOW, Scenario, old, purge
from worker import claims, supervise
from worker.targets.base import ArchiveRef, Images
from worker.targets.mongo_fence import MongoFence

PAGE = PAGES["docs/deploying.md"]
PROCFILE = dict(re.findall(r"^(\w+): (.*)$", (ROOT / "Procfile").read_text(), re.MULTILINE))
UNITS = blocks(PAGE, "ini")
USERS = [json.loads(made) for made in re.findall(r"createUser\((\{.*?\n\})\)", PAGE, re.DOTALL)]
PASSWORD = "hunter2"  # noqa: S105 - of users that live for one test


@pytest.fixture
def urls(
    mongo_server: Mongo,
    mongo_admin: MongoClient[dict[str, Any]],
    mongo_database: Database[dict[str, Any]],
) -> Iterator[dict[str, str]]:
    """The page's users, made as it says in a database of this test."""
    database = mongo_admin[mongo_database.name]
    where = f"127.0.0.1:{mongo_server.port}/{database.name}?replicaSet=tend"
    for user in USERS:
        own = {"ordernimbus": database.name}
        roles = [{**role, "db": own.get(role["db"], role["db"])} for role in user["roles"]]
        database.command("createUser", user["user"], pwd=PASSWORD, roles=roles)
    yield {user["user"]: f"mongodb://{user['user']}:{PASSWORD}@{where}" for user in USERS}
    database.command("dropAllUsersFromDatabase")


@pytest.fixture
def mongo_url(urls: dict[str, str]) -> str:
    return urls["tend"]


@pytest.fixture
def mongo_read_url(urls: dict[str, str]) -> str:
    return urls["tend-reader"]


def test_the_roles_suffice_to_plan_take_over_mirror_and_undo(scenario: Scenario) -> None:
    scenario.shop.salesData.insert_many([{"_id": n, "createdAt": old(3000)} for n in range(30)])
    run = scenario.plan(purge())
    scenario.apply_later(run)
    session = _die_at_work(scenario, run.id)
    assert scenario.advance(run.id).state == "succeeded"
    session.end_session()
    scenario.advance(run.id)
    assert scenario.shop.salesData.count_documents({}) == 0
    assert scenario.shop.auditlogs.count_documents({}) == 1
    assert scenario.undo(run).state == "undone"
    assert scenario.shop.salesData.count_documents({}) == 30


def _die_at_work(scenario: Scenario, run_id: int) -> ClientSession:
    """Leave what a killed worker leaves: a claim, and a session that a takeover must end."""
    engine = scenario.engine
    dead = claims.claim(engine.database, run_id, "a worker that dies", engine.actor)
    assert dead is not None
    fence = engine.targets["mongo"].fence(dead.fence, "salesData", NOW, 1_000, _unused)
    assert isinstance(fence, MongoFence)
    fence.take(dead.attempt)
    standing = scenario.shop.tend_fences.find_one({"_id": dead.fence})
    assert standing is not None
    assert "session" in standing
    scenario.expire_leases()
    return fence.session


def _unused(_images: Images) -> ArchiveRef:
    raise AssertionError("this worker is dead")


def test_it_lists_the_processes_of_the_procfile() -> None:
    listed = re.findall(r"^\| `(\w+)` \| `(tend[^`]*)` \|", PAGE, re.MULTILINE)
    assert dict(listed) == PROCFILE


def test_each_process_that_runs_for_long_has_a_unit() -> None:
    started = [_parsed(unit)["Service"]["ExecStart"].rpartition("/")[2] for unit in UNITS]
    lasting = [command for name, command in PROCFILE.items() if name != "release"]
    assert {_name(command) for command in started} == {_name(command) for command in lasting}


@pytest.mark.parametrize("unit", UNITS, ids=lambda text: text.splitlines()[1])
def test_a_unit_stops_gently_and_starts_again(unit: str) -> None:
    service = _parsed(unit)["Service"]
    drain = supervise._SHUTDOWN_MILLISECONDS / 1000  # noqa: SLF001 - what a drain may take
    assert service["KillMode"] == "mixed"
    assert float(service["TimeoutStopSec"]) > drain
    assert service["Restart"] == "always"


def _name(command: str) -> str:
    return " ".join(command.split()[:2])


def _parsed(unit: str) -> ConfigParser:
    parser = ConfigParser()
    parser.read_string(unit)
    return parser
