import json
import os
import re
import socket
import subprocess
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
from cryptography.fernet import Fernet
from pydantic import SecretStr
from pymongo import MongoClient
from pymongo.database import Database as Records
from sqlalchemy import update

import policies
from demo.servers import Mongo
from tests.mongo_databases import Indexes, joined
from tests.worker import accounts
from tests.worker.audit.history import POLICY, wanted
from tests.worker.cli.conftest import logging_as_it_was  # noqa: F401 - a fixture
from worker import queue, runs
from worker.cli import main
from worker.database import Database, now
from worker.doctor import Finding, examine
from worker.doctor.check import Site
from worker.heartbeat import Heartbeat
from worker.keys import Keyring, RunKey
from worker.registry import Policies, is_task
from worker.settings import Settings
from worker.tables import Process
from worker.targets.kinds import kinds_of
from worker.vault import open_vault, renew

# Whether a policy on SQL was enabled, without a database to run it on, is in the control database.
OF_CONTROL = {
    *("control_database", "control_clock", "scheduler", "worker", "sql"),
    *("keys_of_runs", "keys_of_families", "archive_folders"),
    *("audit_log", "audit_verification"),
}
OF_REDIS = {"redis", "redis_memory", "redis_database", "queue"}
SHIPPED = {
    loaded.policy.name: loaded.policy for loaded in Policies.load([Path(policies.__path__[0])])
}
ON_MONGO = {name for name, policy in SHIPPED.items() if set(kinds_of(policy)) == {"mongo"}}
OF_POLICIES = {f"policy:{name}" for name in ON_MONGO}
OF_RECORDS = {f"policy:{name}" for name in ON_MONGO if not is_task(SHIPPED[name])}
"""What their policies are after must be there; a task may come before what it waits for."""
OF_WRITER = {"mongodb_user", "mongodb_indicators"}
OF_MONGO = {"mongodb", "mongodb_clock", "mongodb_read_user", *OF_WRITER, *OF_POLICIES}
EVERYTHING = (
    {"policies", "probes", "archive", "keys", "audit_anchors"} | OF_CONTROL | OF_REDIS | OF_MONGO
)
PASSWORD = "hunter2"  # noqa: S105 - of a user that lives for one test
INDEXES: Indexes = {
    "auditlogs": ("timestamp",),
    "forecasts": ("userId",),
    "oauthstates": ("timestamp",),
    "salesData": ("createdAt", "quantity", "revenue", "cost", "date", "userId"),
    "salesData_quarantine": ("until",),
    "sessions": ("expiresAt", "isActive", "userId"),
    "users": ("email",),
}


@pytest.fixture
def mongo_indexes() -> Indexes:
    return joined(INDEXES, accounts.PREPARED)


@pytest.fixture(autouse=True)
def bare_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for variable in [name for name in os.environ if name.startswith("TEND_")]:
        monkeypatch.delenv(variable)


@pytest.fixture
def control(migrated_sqlite_url: str) -> Iterator[Database]:
    with closing(Database(migrated_sqlite_url)) as opened:
        for kind in ("scheduler", "worker"):
            Heartbeat(opened, kind).beat()
        yield opened


@pytest.fixture
def settings(
    control: Database,
    sqlite_url: str,
    redis_url: str,
    mongo_url: str,
    mongo_read_url: str,
    tmp_path: Path,
) -> Settings:
    """Of an installation in which everything is as it should be."""
    assert control.dialect == "sqlite"
    return Settings(
        database_url=SecretStr(sqlite_url),
        redis_url=SecretStr(redis_url),
        mongo_url=SecretStr(mongo_url),
        mongo_read_url=SecretStr(mongo_read_url),
        archive_url=SecretStr(str(tmp_path / "archive")),
        keys=SecretStr(Fernet.generate_key().decode()),
    )


def with_(settings: Settings, **values: str) -> Settings:
    return settings.model_copy(update={name: SecretStr(text) for name, text in values.items()})


def not_ok(findings: list[Finding]) -> dict[str, tuple[str, str]]:
    assert {finding.check for finding in findings} >= EVERYTHING - OF_POLICIES
    return {each.check: (each.status, each.says) for each in findings if each.status != "ok"}


def only(settings: Settings, check: str) -> tuple[str, str]:
    """The one thing that is not well, and what is said of it."""
    found = not_ok(examine(Site(settings)))
    assert set(found) == {check}
    return found[check]


def closed_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def test_where_everything_is_well_every_check_is_ok(settings: Settings) -> None:
    findings = examine(Site(settings))
    assert not_ok(findings) == {}
    assert {finding.check for finding in findings} == EVERYTHING


def test_a_control_database_on_postgresql_is_looked_at_alike(
    settings: Settings, migrated_postgres_url: str
) -> None:
    findings = examine(Site(with_(settings, database_url=migrated_postgres_url)))
    assert set(not_ok(findings)) == {"scheduler", "worker"}
    assert "PostgreSQL is migrated" in " ".join(finding.says for finding in findings)


def test_a_probe_leaves_nothing_in_the_archive(settings: Settings, tmp_path: Path) -> None:
    assert not_ok(examine(Site(settings))) == {}
    assert list((tmp_path / "archive").iterdir()) == []


def test_folders_of_no_run_in_the_archive_are_counted_and_left_alone(
    settings: Settings, tmp_path: Path
) -> None:
    strange = tmp_path / "archive" / "of-another-site"
    strange.mkdir(parents=True)
    says = {finding.check: finding.says for finding in examine(Site(settings))}
    assert says["archive_folders"].startswith("1 folders of the archive store are of no run")
    assert strange.is_dir()


def test_with_no_settings_each_check_names_the_one_that_it_needs() -> None:
    found = {each.check: (each.status, each.says) for each in examine(Site(Settings()))}
    needed = {
        **dict.fromkeys(OF_CONTROL, "TEND_DATABASE_URL"),
        **dict.fromkeys(OF_REDIS, "TEND_REDIS_URL"),
        "archive": "TEND_ARCHIVE_URL",
        "mongodb": "TEND_MONGO_URL",
        "sql": "TEND_SQL_URL",
    }
    assert set(found) == {"policies", "probes", "keys", "audit_anchors", *needed}
    for check, setting in needed.items():
        assert found[check][0] == "failed"
        assert f"{setting} is not set" in found[check][1]


@pytest.mark.parametrize(
    ("setting", "url", "checks"),
    [
        ("database_url", "postgresql+psycopg://tend:hunter2@127.0.0.1:{port}/tend", OF_CONTROL),
        ("redis_url", "redis://:hunter2@127.0.0.1:{port}/5", OF_REDIS),
        ("mongo_url", "mongodb://tend:hunter2@127.0.0.1:{port}/x", OF_MONGO),
    ],
)
def test_a_server_that_is_down_fails_its_own_checks_and_hides_no_others(
    settings: Settings, setting: str, url: str, checks: set[str]
) -> None:
    broken = with_(settings, **{setting: url.format(port=closed_port())})
    if setting == "mongo_url":
        broken = broken.model_copy(update={"mongo_read_url": broken.mongo_url})
    found = not_ok(examine(Site(broken)))
    assert set(found) == checks
    for status, says in found.values():
        assert status == "failed"
        assert "does not answer" in says
        assert f"TEND_{setting.upper()}" in says
        assert "hunter2" not in says


def test_a_server_that_accepts_and_then_says_nothing_fails_at_the_deadline(
    settings: Settings,
) -> None:
    with socket.socket() as mute:
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        url = f"postgresql+psycopg://tend@127.0.0.1:{mute.getsockname()[1]}/tend"
        found = not_ok(examine(Site(with_(settings, database_url=url)), seconds=6))
    assert set(found) == OF_CONTROL
    assert found["control_database"] == (
        "failed",
        "There was no answer within 6 s; check TEND_DATABASE_URL.",
    )


def test_a_control_database_that_is_not_migrated_says_what_to_run(
    settings: Settings, tmp_path: Path
) -> None:
    empty = with_(settings, database_url=f"sqlite:///{tmp_path / 'empty.sqlite'}")
    found = not_ok(examine(Site(empty)))
    assert set(found) == OF_CONTROL
    assert found["control_database"][1].endswith("is empty; run `tend migrate`.")


def test_a_host_whose_clock_is_wrong_is_warned_of(settings: Settings) -> None:
    late = Site(settings, clock=lambda: datetime.now(UTC) - timedelta(seconds=5))
    found = not_ok(examine(late))
    assert set(found) == {"control_clock", "mongodb_clock"}
    for status, says in found.values():
        assert status == "warning"
        assert re.search(r" is [45]\.\d s ahead of this host's: cutoffs", says)


def test_a_process_that_fell_silent_has_failed_and_one_that_never_ran_is_a_warning(
    settings: Settings, control: Database
) -> None:
    with control.transaction() as session:
        past = now(session) - timedelta(seconds=95)
        session.execute(update(Process).where(Process.kind == "worker").values(seen_at=past))
    status, says = only(settings, "worker")
    assert status == "failed"
    told = re.search(r"The last sign of life of a worker is (\d+) s old", says)
    assert told is not None
    assert int(told[1]) >= 95
    with control.transaction() as session:
        session.execute(update(Process).values(kind="worker", seen_at=now(session)))
    assert only(settings, "scheduler") == (
        "warning",
        "No scheduler runs; start one with `tend scheduler`.",
    )


def test_rings_that_wait_are_counted(settings: Settings) -> None:
    broker = queue.connect(settings.need("redis_url"))
    with closing(broker.client):
        queue.ring(broker, 1)
        queue.ring(broker, 2)
    says = {finding.check: finding.says for finding in examine(Site(settings))}
    assert says["queue"] == "2 rings wait for a worker."
    assert says["redis_database"] == "The Redis database is Tend's own."


def test_a_redis_database_that_others_use_too_is_a_warning(settings: Settings) -> None:
    with redis.Redis.from_url(settings.need("redis_url")) as client:
        client.set("session:ada@example.com", "1")
    status, says = only(settings, "redis_database")
    assert status == "warning"
    assert "holds 1 keys that are not Tend's" in says
    assert "ada" not in says


def test_a_redis_that_may_forget_is_a_warning(settings: Settings) -> None:
    with redis.Redis.from_url(settings.need("redis_url")) as client:
        client.config_set("maxmemory-policy", "allkeys-lru")
        try:
            status, says = only(settings, "redis_memory")
        finally:
            client.config_set("maxmemory-policy", "noeviction")
    assert status == "warning"
    assert "(maxmemory-policy allkeys-lru)" in says


def test_a_redis_that_refuses_the_password_says_so(settings: Settings) -> None:
    url = settings.need("redis_url").replace("redis://", "redis://nobody:hunter2@")
    found = not_ok(examine(Site(with_(settings, redis_url=url))))
    assert set(found) == OF_REDIS
    assert found["redis"] == (
        "failed",
        "Redis refuses the user or password in TEND_REDIS_URL, or does not let it do this.",
    )


def test_an_index_that_a_policy_lacks_comes_with_the_command_that_creates_it(
    settings: Settings, mongo_database: Records[dict[str, Any]]
) -> None:
    mongo_database["sessions"].drop_index("isActive_1")
    status, says = only(settings, "policy:session-cleanup")
    assert status == "failed"
    assert 'db.sessions.createIndex({"isActive": 1});' in says
    assert "expiresAt" not in says


def test_a_collection_that_does_not_exist_fails_its_policy(
    settings: Settings, mongo_database: Records[dict[str, Any]]
) -> None:
    mongo_database["oauthstates"].drop()
    status, says = only(settings, "policy:oauth-state-cleanup")
    assert status == "failed"
    assert "collection oauthstates does not exist" in says


def test_an_address_that_many_users_share_is_a_question(
    settings: Settings, mongo_database: Records[dict[str, Any]]
) -> None:
    at = datetime.now(UTC) - timedelta(hours=1)
    event = {"ipAddress": "203.0.113.7", "outcome": "success", "timestamp": at}
    mongo_database["loginevents"].insert_many([{**event, "userId": f"u{n}"} for n in range(20)])
    status, says = only(settings, "policy:login-lockout")
    assert status == "warning"
    assert "20 users logged in from 203.0.113.7 within 7d: is it a proxy" in says


def test_a_user_who_may_not_write_is_found_without_writing(
    settings: Settings, mongo_read_url: str, mongo_database: Records[dict[str, Any]]
) -> None:
    found = not_ok(examine(Site(with_(settings, mongo_url=mongo_read_url))))
    assert set(found) == OF_WRITER
    status, says = found["mongodb_user"]
    assert status == "failed"
    assert re.search(r"insert on tend_fences, update on tend_fences, .* and \d+ more", says)
    assert "tend_fences" not in mongo_database.list_collection_names()


def test_a_user_whose_rights_end_before_the_fences_is_found(
    settings: Settings,
    mongo_server: Mongo,
    mongo_admin: MongoClient[dict[str, Any]],
    mongo_database: Records[dict[str, Any]],
) -> None:
    resources = [{"db": mongo_database.name, "collection": name} for name in INDEXES]
    actions = ["find", "insert", "update", "remove", "collStats"]
    with narrow(mongo_admin[mongo_database.name], resources, actions):
        url = mongo_server.url(mongo_database.name).replace("//", f"//narrow:{PASSWORD}@", 1)
        found = not_ok(examine(Site(with_(settings, mongo_url=url))))
    assert set(found) == OF_WRITER
    status, says = found["mongodb_user"]
    assert status == "failed"
    assert "lacks find on tend_fences, insert on tend_fences" in says


def test_a_user_who_may_not_read_the_parents_of_orphans_is_found(
    settings: Settings,
    mongo_server: Mongo,
    mongo_admin: MongoClient[dict[str, Any]],
    mongo_database: Records[dict[str, Any]],
) -> None:
    names = [*(name for name in INDEXES if name != "users"), "tend_fences"]
    resources = [{"db": mongo_database.name, "collection": name} for name in names]
    actions = ["find", "insert", "update", "remove", "collStats"]
    with narrow(mongo_admin[mongo_database.name], resources, actions):
        url = mongo_server.url(mongo_database.name).replace("//", f"//narrow:{PASSWORD}@", 1)
        found = not_ok(examine(Site(with_(settings, mongo_url=url))))
    assert found["mongodb_user"][0] == "failed"
    assert "lacks find on users" in found["mongodb_user"][1]


@contextmanager
def narrow(
    commands: Records[dict[str, Any]], resources: list[Any], actions: list[str]
) -> Iterator[None]:
    """A user `narrow` who may do this much."""
    commands.command(
        "createRole",
        "narrow",
        privileges=[{"resource": resource, "actions": actions} for resource in resources],
        roles=[],
    )
    commands.command("createUser", "narrow", pwd=PASSWORD, roles=["narrow"])
    try:
        yield
    finally:
        commands.command("dropUser", "narrow")
        commands.command("dropRole", "narrow")


def test_a_user_for_reading_who_may_write_is_a_warning(settings: Settings, mongo_url: str) -> None:
    status, says = only(with_(settings, mongo_read_url=mongo_url), "mongodb_read_user")
    assert status == "warning"
    assert "may write (insert on tend_fences" in says


@contextmanager
def standalone(mongo_server: Mongo, folder: Path) -> Iterator[str]:
    """A MongoDB without a replica set and without logins."""
    (program, *_) = psutil.Process(mongo_server.process.pid).cmdline()
    folder.mkdir()
    port = str(closed_port())
    command = [program, "--quiet", "--nounixsocket", "--bind_ip", "127.0.0.1", "--port", port]
    with subprocess.Popen(
        [*command, "--dbpath", str(folder)], stdout=subprocess.DEVNULL
    ) as process:
        try:
            yield f"mongodb://127.0.0.1:{port}/shop"
        finally:
            process.terminate()


@pytest.mark.system
def test_a_mongodb_without_a_replica_set_and_without_logins_is_found(
    settings: Settings, mongo_server: Mongo, tmp_path: Path
) -> None:
    with standalone(mongo_server, tmp_path / "mongod") as url:
        with MongoClient[dict[str, Any]](url, serverSelectionTimeoutMS=30_000) as client:
            client.admin.command("ping")
        found = not_ok(examine(Site(with_(settings, mongo_url=url, mongo_read_url=url))))
    assert found["mongodb"][0] == "failed"
    assert "is no replica set and has no transactions" in found["mongodb"][1]
    assert found["mongodb_user"][0] == found["mongodb_read_user"][0] == "warning"
    assert set(found) == {"mongodb", "mongodb_user", "mongodb_read_user", *OF_RECORDS}


def test_an_archive_that_cannot_be_written_says_what_to_check(
    settings: Settings, tmp_path: Path
) -> None:
    (tmp_path / "file").touch()
    broken = with_(settings, archive_url=str(tmp_path / "file" / "archive"))
    status, says = only(broken, "archive")
    assert status == "failed"
    assert says.startswith("The archive cannot be written (Not a directory)")


def test_a_store_that_nobody_knows_does_not_show_its_url(settings: Settings) -> None:
    unknown = with_(settings, archive_url="nosuch://tend:hunter2@store/x")
    found = not_ok(examine(Site(unknown)))
    assert set(found) == {"archive", "archive_folders"}
    for status, says in found.values():
        assert status == "failed"
        assert says.startswith("TEND_ARCHIVE_URL names a store that fsspec cannot open here")


def test_a_key_that_a_run_still_needs_is_missed(settings: Settings, control: Database) -> None:
    old_keys = Keyring(Fernet.generate_key().decode())
    with control.transaction() as session:
        run = runs.create(session, wanted(POLICY))
        run.key = old_keys.wrap(RunKey.new())
        runs.create(session, wanted(POLICY)).key = Keyring.from_settings(settings).wrap(
            RunKey.new()
        )
    status, says = only(settings, "keys_of_runs")
    assert status == "failed"
    assert says.startswith("1 of 2 archives stay shut, such as r-1's. None of the keys")


def test_a_key_that_a_family_still_needs_is_missed_and_an_old_one_is_told(
    settings: Settings, control: Database
) -> None:
    old, new = Fernet.generate_key().decode(), Fernet.generate_key().decode()
    with control.transaction() as session:
        open_vault(session, Keyring(old), "pos_sync")
    status, says = only(with_(settings, keys=f"{new},{old}"), "keys_of_families")
    assert status == "warning"
    assert "sealed for pos_sync still takes an older one of TEND_KEYS; restart `tend sched" in says
    renew(control, Keyring(new))
    status, says = only(with_(settings, keys=new), "keys_of_families")
    assert status == "failed"
    assert says.startswith("None of the keys in TEND_KEYS opens what was sealed for pos_sync; add")
    renew(control, Keyring(f"{new},{old}"))
    assert not_ok(examine(Site(with_(settings, keys=new)))) == {}


def test_policies_that_do_not_load_hide_nothing_but_themselves(
    settings: Settings, tmp_path: Path
) -> None:
    folder = tmp_path / "policies"
    folder.mkdir()
    (folder / "broken.yaml").write_text("name: broken\njob: nothing\n")
    found = not_ok(examine(Site(settings.model_copy(update={"policy_dir": str(folder)}))))
    assert set(found) == {"policies"}
    assert "broken.yaml" in found["policies"][1]


def environment(monkeypatch: pytest.MonkeyPatch, settings: Settings) -> None:
    for name in ("database_url", "redis_url", "mongo_url", "archive_url", "keys"):
        secret: SecretStr = getattr(settings, name)
        monkeypatch.setenv(f"TEND_{name.upper()}", secret.get_secret_value())


def test_the_command_ends_with_1_if_anything_failed_and_with_0_if_not(
    settings: Settings,
    mongo_database: Records[dict[str, Any]],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    environment(monkeypatch, settings)
    assert main(["doctor"]) == 0
    assert f"0 of {len(EVERYTHING)} checks failed" in capsys.readouterr().out
    mongo_database["oauthstates"].drop()
    assert main(["doctor", "--json"]) == 1
    document = json.loads(capsys.readouterr().out)
    assert document["ok"] is False
    failed = [check for check in document["checks"] if check["status"] == "failed"]
    assert [check["check"] for check in failed] == ["policy:oauth-state-cleanup"]
    assert set(failed[0]) == {"check", "status", "says"}
