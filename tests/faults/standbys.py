"""A standby for an embedded PostgreSQL, copied from the running server by `pg_basebackup`."""

import os
import pwd
import random
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import psycopg
from sqlalchemy import make_url

from demo.servers import Postgres
from tests.faults.processes import eventually


@dataclass(frozen=True)
class Standby:
    """A running standby; `url` is its maintenance database, for reading."""

    url: str
    process: subprocess.Popen[bytes]

    def hang(self) -> None:
        for process in self.all():
            process.suspend()

    def go_on(self) -> None:
        for process in self.all():
            process.resume()

    def all(self) -> list[psutil.Process]:
        """Each of a server's processes has a group of its own."""
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]


@contextmanager
def standby(primary: Postgres, folder: Path) -> Iterator[Standby]:
    """Started with the primary's own command, in a folder and at a port of its own."""
    words = psutil.Process(primary.process.pid).cmdline()
    data = folder / "standby"
    _copy(primary, Path(words[0]).with_name("pg_basebackup"), data)
    port = str(random.randrange(30000, 32000))
    words[words.index("-D") + 1] = str(data)
    words[words.index("-p") + 1] = port
    process = subprocess.Popen(
        words, **_owner(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    url = make_url(primary.url).set(port=int(port)).render_as_string(hide_password=False)
    found = Standby(url, process)
    try:
        eventually(lambda: _follows(primary, found))
        yield found
    finally:
        for each in found.all():
            with suppress(psutil.Error):
                each.kill()
        process.wait()


def _owner() -> dict[str, Any]:
    """PostgreSQL refuses to be root."""
    if os.geteuid() != 0:
        return {}
    nobody = pwd.getpwnam("nobody")
    return {"user": nobody.pw_uid, "group": nobody.pw_gid, "extra_groups": []}


def _copy(primary: Postgres, program: Path, data: Path) -> None:
    url, owner = make_url(primary.url), _owner()
    data.mkdir(mode=0o700)
    if owner:
        os.chown(data, owner["user"], owner["group"])
    login: list[Any] = ["-h", url.host, "-p", url.port, "-U", url.username]
    subprocess.run(
        [str(word) for word in (program, *login, "-D", data, "-R", "-X", "stream", "-c", "fast")],
        env={**os.environ, "PGPASSWORD": str(url.password)},
        **owner,
        check=True,
        capture_output=True,
    )


def _follows(primary: Postgres, found: Standby) -> bool:
    assert found.process.poll() is None
    with psycopg.connect(primary.url.replace("+psycopg", "")) as connection:
        row = connection.execute("select count(*) from pg_stat_replication").fetchone()
    return row == (1,)
