"""What MongoDB is at: operations that run for long, and those that read whole collections.

The pipelines run on the server and hand out names, plans and durations, never a value.
"""

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from jobs.probing import MongoStatus, NotTold, Reading

PROFILED = timedelta(minutes=5)
"""How far back the profiler's collection is looked at."""
MOST = 20
Found = Mapping[str, Any]

# Waiting for news is not work: tailing the oplog, change streams and the drivers' own heartbeats.
_AT_WORK: Mapping[str, Any] = {
    "active": True,
    "ns": {"$nin": ["", None], "$not": {"$regex": r"^(local|config|admin)\."}},
    "appName": {"$ne": "tend"},
    "cursor.tailable": {"$ne": True},
}


def _keys(part: str) -> Mapping[str, Any]:
    """The names of a filter's or an order's fields, and whether each asks for one value."""
    given = {"$cond": [{"$eq": [{"$type": part}, "object"]}, part, {}]}
    return {
        "$map": {
            "input": {"$objectToArray": given},
            "in": {"name": "$$this.k", "is_range": {"$eq": [{"$type": "$$this.v"}, "object"]}},
        }
    }


_FILTER = {
    "$ifNull": [
        "$command.filter",
        "$command.q",
        "$command.query",
        {"$getField": {"field": {"$literal": "$match"}, "input": {"$first": "$command.pipeline"}}},
        {},
    ]
}
_NAMES: Mapping[str, Any] = {
    "ns": 1,
    "op": 1,
    "planSummary": 1,
    "milliseconds": {"$ifNull": ["$millis", {"$divide": ["$microsecs_running", 1000]}]},
    "filter": "$_filter",
    "order": "$_order",
}
_NAMED: Sequence[Mapping[str, Any]] = (
    {"$set": {"_given": _FILTER, "_sorted": {"$ifNull": ["$command.sort", {}]}}},
    {"$set": {"_filter": _keys("$_given"), "_order": _keys("$_sorted")}},
    {"$project": _NAMES},
    {"$limit": 200},
)


def long(mongo: MongoStatus, milliseconds: int) -> Sequence[Reading]:
    """One reading for each collection on which an operation runs too long."""
    condition = {**_AT_WORK, "microsecs_running": {"$gte": 1000 * milliseconds}}
    found = mongo.operations([{"$match": condition}, *_NAMED])
    worst = _worst(found, "milliseconds")
    return [
        Reading(each["ns"], "long_operation", True, _said(each), float(each["milliseconds"]))
        for each in worst
    ]


def scans(mongo: MongoStatus, large: int, now: datetime) -> Sequence[Reading]:
    """One for each large collection that is read whole: now, or as the profiler saw it."""
    found = mongo.operations([{"$match": {**_AT_WORK, "planSummary": "COLLSCAN"}}, *_NAMED])
    readings = []
    for each in _worst([*found, *_profiled(mongo, large, now)], "milliseconds"):
        database, _, collection = each["ns"].partition(".")
        size = _size(mongo, collection) if database == mongo.database else large
        if size >= large:
            says = f"{_said(each)}; {_index(collection, each)}"
            readings.append(Reading(each["ns"], "collection_scan", True, says, float(size)))
    return readings


def _profiled(mongo: MongoStatus, large: int, now: datetime) -> Sequence[Found]:
    """Where profiling is off, there is no such collection, or nothing new in it."""
    condition = {
        "ts": {"$gte": now - PROFILED},
        "planSummary": "COLLSCAN",
        "docsExamined": {"$gte": large},
        "ns": {"$not": {"$regex": r"\.system\."}},
        "appName": {"$ne": "tend"},
    }
    try:
        return mongo.aggregate(mongo.database, "system.profile", [{"$match": condition}, *_NAMED])
    except NotTold:
        return ()  # the operations at work are seen all the same


def _size(mongo: MongoStatus, collection: str) -> int:
    return int(mongo.command("collStats", collection).get("count", 0))


def _worst(found: Iterable[Found], by: str) -> Sequence[Found]:
    """The worst of each collection, the worst first."""
    worst: dict[str, Found] = {}
    for each in sorted(found, key=lambda one: -float(one[by])):
        worst.setdefault(str(each["ns"]), each)
    return list(worst.values())[:MOST]


def _said(found: Found) -> str:
    plan = found.get("planSummary") or "no plan told"
    return f"{found['op']} on {found['ns']} for {float(found['milliseconds']):,.0f} ms, {plan}"


def _index(collection: str, found: Found) -> str:
    """What would serve it: fields of one value, then those it is sorted by, then ranges."""
    asked, order = found.get("filter") or (), found.get("order") or ()
    names = [
        *(each["name"] for each in asked if not each["is_range"]),
        *(each["name"] for each in order),
        *(each["name"] for each in asked if each["is_range"]),
    ]
    fields = [name for name in dict.fromkeys(names) if not name.startswith("$")]
    if not fields:
        return "its filter names no field that an index could serve"
    keys = ", ".join(f'"{name}": 1' for name in fields)
    return f"db.{collection}.createIndex({{{keys}}}) would serve it"
