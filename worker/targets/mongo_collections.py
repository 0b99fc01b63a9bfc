"""What a collection must be, so that its records can be changed in transactions and put back."""

from collections.abc import Mapping
from typing import Any

from pymongo.database import Database

from worker.errors import CollectionMissing, TargetError
from worker.targets.quarantine import SUFFIX

Document = Mapping[str, Any]


def check_collection(database: Database[Any], name: str, where: str) -> None:
    """Raise `CollectionMissing`, or `TargetError` if it is of a kind that cannot be worked on.

    A quarantine that nothing was ever moved to is an empty one.
    """
    home = name.removesuffix(SUFFIX)
    found = {
        each["name"]: each
        for each in database.list_collections(filter={"name": {"$in": [name, home]}})
    }
    if not found:
        raise CollectionMissing(
            f"{where} does not exist; check `collection` in the policy and the database in "
            "TEND_MONGO_URL."
        )
    if name in found:
        check_kind(database, found[name], where)


def check_quarantine(database: Database[Any], name: str, where: str) -> None:
    """Raise `TargetError` if the quarantine is there and cannot be worked on."""
    for each in database.list_collections(filter={"name": name + SUFFIX}):
        check_kind(database, each, f"{where}{SUFFIX}")


def check_kind(database: Database[Any], found: Document, where: str) -> None:
    if found["type"] == "view":
        source = found["options"]["viewOn"]
        raise TargetError(f"{where} is a view, which holds no records; name {source} behind it.")
    if found["type"] == "timeseries":
        raise TargetError(
            f"{where} is a time series, whose records MongoDB lets nobody change one by one; let "
            "its own expireAfterSeconds remove what is old."
        )
    if found["options"].get("capped"):
        raise TargetError(
            f"{where} is capped: MongoDB changes none of its records in a transaction and removes "
            "the oldest by itself; leave it to its size."
        )
    refuse_sharded(database.command("collStats", found["name"]), where)


def refuse_sharded(stats: Document, where: str) -> None:
    """A key may stand on two shards, and a record moves when its shard key is repaired."""
    if stats.get("sharded"):
        raise TargetError(
            f"{where} is sharded, and there one key may stand for two records; Tend works on "
            "collections that are not."
        )
