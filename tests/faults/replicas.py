"""More members for an embedded MongoDB: each can be made to hang, and one that votes to lead."""

import random
import signal
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from pymongo import MongoClient

from demo.servers import Mongo
from tests.faults.processes import eventually

_SECONDARY = 2
_PASSIVE = {"priority": 0, "votes": 0}
Process = subprocess.Popen[bytes]


@contextmanager
def follower(mongo: Mongo, folder: Path) -> Iterator[Process]:
    """It follows, and has no vote."""
    with _member(mongo, folder, 1, _PASSIVE) as process:
        yield process


@contextmanager
def electable(mongo: Mongo, folder: Path) -> Iterator[tuple[Process, Process]]:
    """Two more that vote, so that any of three may lead."""
    with ExitStack() as stack:
        first = stack.enter_context(_member(mongo, folder, 1, {}))
        yield first, stack.enter_context(_member(mongo, folder, 2, {}))


@contextmanager
def _member(mongo: Mongo, folder: Path, number: int, rank: dict[str, int]) -> Iterator[Process]:
    """Started with the first member's own command, in a folder and at a port of its own."""
    data = folder / f"member-{number}"
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
            config["members"].append({"_id": number, "host": f"127.0.0.1:{port}", **rank})
            client.admin.command("replSetReconfig", {**config, "version": config["version"] + 1})
            eventually(lambda: _state(client, number) == _SECONDARY, seconds=60)
        yield process
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()


def _words(process: Process) -> list[Any]:
    words = process.args
    if not isinstance(words, list):
        raise TypeError("the first member was not started from a list of words")
    return words


def _state(client: MongoClient[dict[str, Any]], number: int) -> int:
    members = client.admin.command("replSetGetStatus")["members"]
    return int(members[number]["state"]) if len(members) > number else -1
