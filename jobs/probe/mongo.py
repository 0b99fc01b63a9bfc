"""MongoDB: long operations, collection scans, connections, cache, memory, replication."""

from collections.abc import Callable, Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, cast

from pydantic import Field, StrictInt

from jobs.probe import mongo_operations, mongo_replicas
from jobs.probing import Look, MongoStatus, NotTold, ProbeContext, Reading
from policies.durations import Duration
from policies.probes import Check, Probe, ProbeOptions, Severity

Percent = Annotated[StrictInt, Field(ge=1, le=100)]
MONGO = "mongodb"
_GROWN_AFTER = 3600
"""Seconds after which memory that is larger has grown rather than filled."""


class MongoOptions(ProbeOptions):
    """From when on an operation is long, a collection large, and a server full."""

    CHECKS: ClassVar[Mapping[str, Check]] = MappingProxyType(
        {
            **ProbeOptions.CHECKS,
            "long_operation": Check(
                Severity.P2,
                "ms",
                "An operation runs for very long; it holds a read ticket and makes others wait.",
                "See with db.currentOp() whose it is and whether its plan uses an index; end it "
                "with db.killOp() only if you know what it does.",
            ),
            "collection_scan": Check(
                Severity.P2,
                "documents",
                "A query reads a whole large collection because no index serves it; it evicts "
                "what others need from the cache.",
                "Create the index that is named, in the background and outside of busy hours, or "
                "change the query.",
            ),
            "connections": Check(
                Severity.P1,
                "%",
                "Nearly every connection that the server allows is in use; soon it refuses them.",
                "See which application opens so many (db.currentOp(true)); lower its maxPoolSize "
                "or restart the process that leaks them.",
            ),
            "tickets": Check(
                Severity.P1,
                "%",
                "Nearly all read or write tickets are taken: operations queue for the storage.",
                "Look for long operations and collection scans first; they hold the tickets.",
            ),
            "cache": Check(
                Severity.P2,
                "%",
                "The cache is full: queries wait until something is evicted.",
                "Look for collection scans; if there are none, the server needs more memory.",
            ),
            "memory_growth": Check(
                Severity.P3,
                "MiB",
                "The server's memory grows and does not shrink again.",
                "Compare it with connections and cursors that stay open; plan a restart by "
                "step-down before the host runs out.",
            ),
            "replication_lag": Check(
                Severity.P1,
                "s",
                "A secondary is behind: what is read there is old, and a failover would lose it.",
                "Look at the secondary's disk and CPU, and at long writes on the primary; pause "
                "large repairs until it has caught up.",
            ),
            "member": Check(
                Severity.P1,
                "",
                "A member of the replica set is not healthy: one more, and there is no majority.",
                "Start it or its host again, and read its log before it is put back.",
            ),
            "oplog_window": Check(
                Severity.P2,
                "h",
                "The oplog holds few hours: a secondary away for longer must be copied anew.",
                "Enlarge it with replSetResizeOplog, or find who writes so much.",
            ),
        }
    )
    operation_ms: Annotated[StrictInt, Field(ge=1)] = 10_000
    large: Annotated[StrictInt, Field(ge=1)] = 100_000
    connections_percent: Percent = 80
    tickets_percent: Percent = 90
    cache_percent: Percent = 95
    growth_percent: Annotated[StrictInt, Field(ge=1)] = 50
    lag: Duration = Field(default="60s", validate_default=True)
    oplog_hours: Annotated[StrictInt, Field(ge=1)] = 24


class MongoProbe:
    """Asks the server how it is; a question that it does not know is said once and skipped."""

    name: ClassVar[str] = "mongo"
    Options: ClassVar[type[ProbeOptions]] = MongoOptions
    each_host: ClassVar[bool] = False

    def look(self, ctx: ProbeContext, probe: Probe) -> Look:
        options = cast(MongoOptions, probe.options)
        mongo = ctx.mongo
        mongo.command("hello")  # where nothing answers, the look as a whole says so
        readings: list[Reading] = []
        remarks: list[str] = []
        unknown: list[str] = []
        for names, ask in _questions(ctx, mongo, options):
            try:
                readings += ask()
            except NotTold as error:
                remarks.append(f"{', '.join(names)}: {error}")
                unknown += names
        return Look(_each_cause_once(readings), remarks, unknown=unknown)


def _each_cause_once(readings: Sequence[Reading]) -> Sequence[Reading]:
    """A scan takes long because it is one: that is not told a second time."""
    scanned = {one.subject for one in readings if one.check == "collection_scan"}
    return [one for one in readings if one.check != "long_operation" or one.subject not in scanned]


Ask = Callable[[], Sequence[Reading]]


def _questions(
    ctx: ProbeContext, mongo: MongoStatus, options: MongoOptions
) -> Sequence[tuple[Sequence[str], Ask]]:
    """What is asked, and which checks stay open where a server does not answer it."""
    milliseconds, large = options.operation_ms, options.large
    lag = options.lag.delta.total_seconds()
    return (
        (("long_operation",), lambda: mongo_operations.long(mongo, milliseconds)),
        (("collection_scan",), lambda: mongo_operations.scans(mongo, large, ctx.now)),
        (
            ("connections", "tickets", "cache", "memory_growth"),
            lambda: _server(ctx, mongo, options),
        ),
        (("replication_lag", "member"), lambda: mongo_replicas.members(mongo, lag)),
        (("oplog_window",), lambda: mongo_replicas.window(mongo, options.oplog_hours)),
    )


def _server(ctx: ProbeContext, mongo: MongoStatus, options: MongoOptions) -> Sequence[Reading]:
    """What `serverStatus` tells; a part that this server leaves out is not judged."""
    status = mongo.command("serverStatus")
    found = [
        _share("connections", _connections(status), options.connections_percent, "in use"),
        _share("tickets", _tickets(status), options.tickets_percent, "taken"),
        _share("cache", _cache(status), options.cache_percent, "full"),
        _growth(ctx, status, options.growth_percent),
    ]
    return [each for each in found if each is not None]


def _share(check: str, percent: float | None, limit: int, word: str) -> Reading | None:
    if percent is None:
        return None
    return Reading(
        MONGO, check, percent > limit, f"{percent:.0f} % {word}, above {limit} % is too much",
        round(percent, 1),
    )  # fmt: skip


def _connections(status: Mapping[str, Any]) -> float | None:
    counts = status.get("connections", {})
    most = counts.get("current", 0) + counts.get("available", 0)
    return 100 * counts["current"] / most if most else None


def _tickets(status: Mapping[str, Any]) -> float | None:
    kinds = status.get("wiredTiger", {}).get("concurrentTransactions", {})
    shares = [100 * one["out"] / one["totalTickets"] for one in kinds.values() if "out" in one]
    return max(shares, default=None)


def _cache(status: Mapping[str, Any]) -> float | None:
    cache = status.get("wiredTiger", {}).get("cache", {})
    used = cache.get("bytes currently in the cache")
    whole = cache.get("maximum bytes configured")
    return 100 * used / whole if used is not None and whole else None


def _growth(ctx: ProbeContext, status: Mapping[str, Any], limit: int) -> Reading | None:
    """Resident memory beside the oldest that is kept, once that is an hour old."""
    resident = status.get("mem", {}).get("resident")
    if resident is None:
        return None
    now = float(resident)
    then = ctx.before(MONGO, "memory_growth")
    if then is None or (ctx.now - then[0]).total_seconds() < _GROWN_AFTER or not then[1]:
        return Reading(MONGO, "memory_growth", False, value=now)
    grown = 100 * (now - then[1]) / then[1]
    says = f"{now:,.0f} MiB, {grown:+.0f} % since {then[0]:%H:%M} UTC"
    return Reading(MONGO, "memory_growth", grown > limit, says, now)
