"""A second member for an embedded MongoDB: it follows, has no vote, and can be made to hang."""

import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from demo.servers import Mongo
from tests.faults.processes import eventually

_SECONDARY = 2


@contextmanager
def follower(mongo: Mongo, folder: Path) -> Iterator[subprocess.Popen[bytes]]:
    """Started with the first member's own command, in a folder and at a port of its own."""
    data = folder / "follower"
    data.mkdir()
    command = [str(word) for word in _words(mongo.process)]
    command[command.index("--dbpath") + 1] = str(data)
    port = str(random.randrange(30000, 32000))
    command[command.index("--port") + 1] = port
    process = subprocess.Popen(
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, start_new_session=True
    )
    try:
        with MongoClient[dict[str, Any]](mongo.url()) as client:
            config = client.admin.command("replSetGetConfig")["config"]
            config["members"].append(
                {"_id": 1, "host": f"127.0.0.1:{port}", "priority": 0, "votes": 0}
            )
            client.admin.command("replSetReconfig", {**config, "version": config["version"] + 1})
            eventually(lambda: _state(client) == _SECONDARY)
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _words(process: subprocess.Popen[bytes]) -> list[Any]:
    words = process.args
    if not isinstance(words, list):
        raise TypeError("the first member was not started from a list of words")
    return words


def _state(client: MongoClient[dict[str, Any]]) -> int:
    members = client.admin.command("replSetGetStatus")["members"]
    return int(members[1]["state"]) if len(members) == 2 else -1
