import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

import psutil
import pytest
import redis
import sqlalchemy
from pymongo import MongoClient
from pymongo.database import Database
from pymongo.errors import OperationFailure

from demo.servers import Mongo, Postgres, ServerFailed, Valkey, mongod, postgres, valkey

Start = Callable[[Path], AbstractContextManager[Mongo | Valkey | Postgres]]
UNAUTHORIZED = 13

every_server = pytest.mark.parametrize("start", [mongod, valkey, postgres])


@pytest.fixture
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="tend-tests-") as name:
        yield Path(name)


@pytest.mark.system
@every_server
def test_a_server_ends_with_its_block_even_on_ctrl_c(start: Start, folder: Path) -> None:
    with pytest.raises(KeyboardInterrupt), start(folder) as server:
        signal.raise_signal(signal.SIGINT)
    assert server.process.returncode == 0


@pytest.mark.system
@every_server
def test_a_server_dies_with_a_parent_that_is_killed(start: Start, folder: Path) -> None:
    program = (
        "import pathlib, sys\n"
        f"from demo.servers import {start.__name__} as start\n"
        f"with start(pathlib.Path({str(folder)!r})) as server:\n"
        "    print(server.process.pid, flush=True)\n"
        "    sys.stdin.read()\n"
    )
    with subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as parent:
        assert parent.stdout
        server = psutil.Process(int(parent.stdout.readline()))
        assert os.getsid(server.pid) == server.pid, "the terminal's Ctrl-C would reach it"
        processes = [server, *server.children(recursive=True)]
        parent.send_signal(signal.SIGKILL)
    assert [process for process in processes if not _ends(process)] == []


def test_mongod_without_libcurl_says_what_to_install(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "libcurl.so.4").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    with pytest.raises(ServerFailed, match=r"apt-get install libcurl4"), mongod(folder):
        pass


def test_a_server_that_cannot_start_shows_the_end_of_its_log(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "libssl.so.3").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(folder))
    too_short = pytest.raises(ServerFailed, match=r"libssl\.so\.3: file too short")
    with too_short as failure, mongod(folder):
        pass
    assert "libcurl" not in str(failure.value)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root's PostgreSQL runs as another user")
def test_a_folder_that_postgres_cannot_enter_is_named(tmp_path: Path) -> None:
    (tmp_path / "private").mkdir(mode=0o700)
    with pytest.raises(ServerFailed, match=r"chmod o\+x"), postgres(tmp_path / "private" / "deep"):
        pass


def test_mongod_asks_for_a_login(mongo_server: Mongo) -> None:
    with (
        MongoClient[dict[str, Any]](mongo_server.url()) as client,
        pytest.raises(OperationFailure) as failure,
    ):
        client["any"]["records"].find_one()
    assert failure.value.code == UNAUTHORIZED


def test_tend_writes_in_transactions(mongo_database: Database[dict[str, Any]]) -> None:
    records = mongo_database["records"]
    records.create_index("name")
    with mongo_database.client.start_session() as session, session.start_transaction():
        records.insert_one({"name": "one"}, session=session)
        assert records.count_documents({}) == 0
    assert records.count_documents({}) == 1


def test_tend_ends_the_sessions_of_others_and_reads_the_servers_status(
    mongo_database: Database[dict[str, Any]], mongo_admin: MongoClient[dict[str, Any]]
) -> None:
    others = mongo_admin[mongo_database.name]["records"]
    others.insert_one({})
    with mongo_admin.start_session() as session:
        session.start_transaction()
        others.delete_one({}, session=session)
        commands = mongo_database.client.admin
        assert commands.command("serverStatus")["transactions"]["currentOpen"] == 1
        commands.command("killAllSessions", [{"user": "admin", "db": "admin"}])
        with pytest.raises(OperationFailure, match="has been aborted"):
            session.commit_transaction()
    assert others.count_documents({}) == 1


def test_the_reader_reads_and_cannot_write(
    mongo_database: Database[dict[str, Any]], mongo_read_url: str
) -> None:
    mongo_database["records"].insert_one({})
    with MongoClient[dict[str, Any]](mongo_read_url) as client:
        records = client.get_default_database()["records"]
        assert records.count_documents({}) == 1
        with pytest.raises(OperationFailure) as failure:
            records.delete_many({})
    assert failure.value.code == UNAUTHORIZED


@pytest.mark.parametrize("_again", range(2))
def test_each_test_finds_redis_empty(redis_url: str, _again: int) -> None:
    with redis.Redis.from_url(redis_url) as client:
        assert client.dbsize() == 0
        client.set("left", "behind")


@pytest.mark.parametrize("_again", range(2))
def test_each_test_finds_a_database_of_its_own(empty_database_url: str, _again: int) -> None:
    engine = sqlalchemy.create_engine(empty_database_url)
    with engine.begin() as connection:
        assert sqlalchemy.inspect(connection).get_table_names() == []
        connection.execute(sqlalchemy.text("CREATE TABLE left_behind (id INTEGER)"))
    engine.dispose()


def test_postgres_refuses_a_wrong_password(postgres_server: Postgres) -> None:
    url = sqlalchemy.make_url(postgres_server.url).set(password="wrong")  # noqa: S106 - wrong on purpose
    with pytest.raises(sqlalchemy.exc.OperationalError, match="password authentication failed"):
        sqlalchemy.create_engine(url).connect()


def _ends(process: psutil.Process) -> bool:
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        try:
            if process.status() == psutil.STATUS_ZOMBIE:
                return True
            time.sleep(0.02)
        except psutil.NoSuchProcess:
            return True
    return False
