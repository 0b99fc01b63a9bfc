"""MongoDB: reachable, able to do transactions, on time, and who may do what in it."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from pymongo import MongoClient

from worker.doctor.check import (
    CONNECT_SECONDS,
    Check,
    Site,
    Verdict,
    compare_clocks,
    failed,
    listed,
    ok,
    warning,
)
from worker.doctor.policies import of_kind
from worker.grants.mongo import to_read, to_work
from worker.settings import mongo_database
from worker.targets.mongo_errors import translated

_SETTING = "TEND_MONGO_URL"
_READ_SETTING = "TEND_MONGO_READ_URL"
_WRITES = ("insert", "update", "remove")
Privilege = Mapping[str, Any]


@contextmanager
def _client(url: str) -> Iterator[MongoClient[dict[str, Any]]]:
    milliseconds = CONNECT_SECONDS * 1000
    with (
        translated("MongoDB"),
        MongoClient[dict[str, Any]](
            url,
            appname="tend",
            serverSelectionTimeoutMS=milliseconds,
            connectTimeoutMS=milliseconds,
            timeoutMS=milliseconds,
        ) as client,
    ):
        yield client


def _reachable(site: Site) -> Verdict:
    with _client(site.settings.need("mongo_url")) as client:
        hello = client.admin.command("hello")
        version = client.server_info()["version"]
    if "setName" in hello or hello.get("msg") == "isdbgrid":
        return ok(f"MongoDB {version} answers and has transactions.")
    return failed(
        f"MongoDB {version} answers but is no replica set and has no transactions, without which "
        "Tend changes nothing; start it with --replSet, one node is enough."
    )


def _on_time(site: Site) -> Verdict:
    with _client(site.settings.need("mongo_url")) as client:
        client.admin.command("ping")  # connecting takes time that is not the clock's

        def ask() -> datetime:
            moment: datetime = client.admin.command("hello")["localTime"]
            return moment.replace(tzinfo=UTC)

        return compare_clocks(site, "MongoDB's clock", ask)


def _user(site: Site) -> Verdict:
    url = site.settings.need("mongo_url")
    users, privileges = _authorized(url)
    if not users:
        return warning(
            "MongoDB asks for no login: whoever reaches it may change everything; turn on its "
            "access control and give Tend a user of its own."
        )
    if privileges is None:
        return _untold(_SETTING)
    lacks = [
        f"{action} on {collection}"
        for collection, actions in to_work(of_kind(site, "mongo")).items()
        for action in ("find", *_WRITES)
        if action in actions - _allowed(privileges, str(mongo_database(url)), collection)
    ]
    if lacks:
        return failed(
            f"The user in TEND_MONGO_URL lacks {listed(lacks)}; grant it readWrite, or the role "
            "that `tend doctor --grants` prints."
        )
    return ok("The user in TEND_MONGO_URL may do what the policies, fences and mirror need.")


def _read_user(site: Site) -> Verdict:
    secret = site.settings.mongo_read_url
    if secret is None:
        return ok("TEND_MONGO_READ_URL is not set: the user who writes also reads for plans.")
    url = secret.get_secret_value()
    users, privileges = _authorized(url)
    if not users:
        return warning("TEND_MONGO_READ_URL reaches MongoDB without a login, and so may write.")
    if privileges is None:
        return _untold(_READ_SETTING)
    allowed = {
        collection: _allowed(privileges, str(mongo_database(url)), collection)
        for collection in to_work(of_kind(site, "mongo"))
    }
    writes = [
        f"{action} on {name}" for name in allowed for action in _WRITES if action in allowed[name]
    ]
    blind = [
        f"find on {name}" for name in to_read(of_kind(site, "mongo")) if "find" not in allowed[name]
    ]
    if blind:
        return failed(f"The user in TEND_MONGO_READ_URL lacks {listed(blind)}; grant it read.")
    if writes:
        return warning(
            f"The user in TEND_MONGO_READ_URL may write ({listed(writes)}); grant it read alone."
        )
    return ok("The user in TEND_MONGO_READ_URL reads and cannot write.")


def _authorized(url: str) -> tuple[list[Any], list[Privilege] | None]:
    """Who is logged in with this URL, and their privileges if the server tells."""
    with _client(url) as client:
        status = client.admin.command({"connectionStatus": 1, "showPrivileges": True})["authInfo"]
    return status["authenticatedUsers"], status.get("authenticatedUserPrivileges")


def _untold(setting: str) -> Verdict:
    return warning(
        f"This MongoDB does not tell what the user in {setting} may do; check its roles."
    )


def _allowed(privileges: Iterable[Privilege], database: str, collection: str) -> set[str]:
    """The actions on a collection; an empty name in a privilege means every one."""
    return {
        action
        for privilege in privileges
        if _covers(privilege["resource"], database, collection)
        for action in privilege["actions"]
    }


def _covers(resource: Mapping[str, Any], database: str, collection: str) -> bool:
    if resource.get("anyResource"):
        return True
    return resource.get("db") in ("", database) and resource.get("collection") in ("", collection)


CHECKS = (
    Check("mongodb", _SETTING, _reachable),
    Check("mongodb_clock", _SETTING, _on_time),
    Check("mongodb_user", _SETTING, _user),
    Check("mongodb_read_user", _READ_SETTING, _read_user),
)
