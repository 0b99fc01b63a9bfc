"""A MongoDB's indicators: replication lag, queued operations and the dirty part of its cache."""

from collections.abc import Iterator, Mapping
from typing import Any

from pymongo.database import Database
from pymongo.errors import OperationFailure

from worker.targets.base import Reading

Document = Mapping[str, Any]

# Sections that are long and not looked at.
_UNREAD = dict.fromkeys(("asserts", "locks", "metrics", "network", "repl", "tcmalloc"), 0)
_DIRTY, _WHOLE = "tracked dirty bytes in the cache", "maximum bytes configured"
_UNAUTHORIZED = 13
_NO_REPLICATION = 76
_SECONDARY, _RECOVERING, _UNKNOWN, _DOWN, _ROLLBACK = 2, 3, 6, 8, 9
_FOLLOWING = (_SECONDARY, _RECOVERING, _ROLLBACK)
_SILENT = (_UNKNOWN, _DOWN)


def read(admin: Database[Document]) -> tuple[Reading, ...]:
    """What a server does not tell, or does not tell this user, is a reading without a value."""
    return (*_of_server(admin), *_of_replicas(admin))


def _of_server(admin: Database[Document]) -> Iterator[Reading]:
    try:
        status = admin.command({"serverStatus": 1, **_UNREAD})
    except OperationFailure as error:
        why = _why(error, "serverStatus")
        yield from (Reading(name, None, why) for name in ("queued_operations", "dirty_cache"))
        return
    queue = status.get("globalLock", {}).get("currentQueue", {})
    yield _told("queued_operations", queue.get("total"))
    yield _told("dirty_cache", _percent(status.get("wiredTiger", {}).get("cache", {})))


def _percent(cache: Document) -> float | None:
    dirty, whole = cache.get(_DIRTY), cache.get(_WHOLE)
    return 100 * dirty / whole if dirty is not None and whole else None


def _told(indicator: str, value: float | None) -> Reading:
    return Reading(indicator, value, "" if value is not None else "this server does not tell it")


def _of_replicas(admin: Database[Document]) -> Iterator[Reading]:
    try:
        status = admin.command("replSetGetStatus")
        configured = admin.command("replSetGetConfig")["config"]["members"]
    except OperationFailure as error:
        if error.code != _NO_REPLICATION:
            yield Reading("replication_lag", None, _why(error, "replSetGetStatus"))
        return
    delays = {member["_id"]: _delay(member) for member in configured}
    newest = max(member["optimeDate"] for member in status["members"] if "optimeDate" in member)
    lags = [(0.0, "")]
    for member in status["members"]:
        if member["state"] in _SILENT:
            silent = status["date"] - member["lastHeartbeatRecv"]
            lags.append((silent.total_seconds(), f"{member['name']} is silent"))
        elif member["state"] in _FOLLOWING:
            behind = newest - member["optimeDate"]
            lag = behind.total_seconds() - delays.get(member["_id"], 0.0)
            lags.append((lag, str(member["name"])))
    yield Reading("replication_lag", *max(lags))


def _delay(member: Document) -> float:
    """How far a member is told to stay behind; servers before 5.0 call it otherwise."""
    return float(member.get("secondaryDelaySecs", member.get("slaveDelay", 0)))


def _why(error: OperationFailure, command: str) -> str:
    if error.code == _UNAUTHORIZED:
        return f"the user may not ask for {command}, grant clusterMonitor"
    return f"this server does not answer {command} (code {error.code})"
