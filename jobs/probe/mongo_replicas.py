"""How far the secondaries are behind, and how far back the oplog goes."""

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.probing import MongoStatus, NotTold, Reading

_PRIMARY, _SECONDARY, _RECOVERING, _ARBITER, _ROLLBACK = 1, 2, 3, 7, 9
_FOLLOWING = (_SECONDARY, _RECOVERING, _ROLLBACK)


def members(mongo: MongoStatus, limit: float) -> Sequence[Reading]:
    """A reading for each member: one that is silent is not healthy, and not late as well."""
    status = mongo.command("replSetGetStatus")
    delays = _delays(mongo)
    newest = max(each["optimeDate"] for each in status["members"] if "optimeDate" in each)
    readings = []
    for each in status["members"]:
        name = str(each["name"])
        is_well = each["state"] in {_PRIMARY, _ARBITER, *_FOLLOWING}
        readings.append(Reading(name, "member", not is_well, f"it is {each['stateStr']}"))
        if each["state"] in _FOLLOWING:
            behind = (newest - each["optimeDate"]).total_seconds() - delays.get(each["_id"], 0.0)
            says = f"{behind:,.0f} s behind, above {limit:,.0f} s is too much"
            readings.append(Reading(name, "replication_lag", behind > limit, says, behind))
        elif not is_well:
            readings.append(Reading(name, "replication_lag", None))
    return readings


def _delays(mongo: MongoStatus) -> Mapping[int, float]:
    """Members that are told to stay behind; servers before 5.0 call it otherwise."""
    try:
        config: Any = mongo.command("replSetGetConfig")["config"]
    except NotTold:
        return {}
    return {
        each["_id"]: float(each.get("secondaryDelaySecs", each.get("slaveDelay", 0)))
        for each in config["members"]
    }


def window(mongo: MongoStatus, limit: int) -> Sequence[Reading]:
    """Hours between the first entry of the oplog and the last, once it has been full."""
    size = mongo.aggregate("local", "oplog.rs", [{"$collStats": {"storageStats": {}}}])
    stats = size[0]["storageStats"] if size else {}
    ends = mongo.ends("local", "oplog.rs", "ts")
    if ends is None:
        return []
    first, last = (float(end.time) for end in ends)
    hours = (last - first) / 3600
    is_full = stats.get("size", 0) >= 0.9 * stats.get("maxSize", 0) > 0
    says = f"it holds {hours:,.1f} hours, less than {limit} is too little"
    return [Reading("mongodb", "oplog_window", is_full and hours < limit, says, round(hours, 1))]
