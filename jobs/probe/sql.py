"""SQL: long queries and transactions, lock waits, connections, replication lag, dead rows."""

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Annotated, Any, ClassVar, cast

from pydantic import Field, StrictInt
from sqlalchemy import Connection, text

from jobs.probing import Look, ProbeContext, Reading
from policies.durations import Duration
from policies.probes import Check, Probe, ProbeOptions, Severity

SQL = "postgresql"
MOST = 20
_HIDDEN = "the user who reads does not see other sessions; grant it pg_monitor."
_NONE = "SQLite is a file: it has no sessions, locks to wait for, connections or standbys to ask."


class SqlOptions(ProbeOptions):
    """From when on a query is long, a lock held too long, and a table full of dead rows."""

    CHECKS: ClassVar[Mapping[str, Check]] = MappingProxyType(
        {
            **ProbeOptions.CHECKS,
            "long_query": Check(
                Severity.P2,
                "s",
                "A query runs for very long; it keeps vacuum from cleaning up behind it.",
                "See whose it is in pg_stat_activity by its pid and read its plan with EXPLAIN; "
                "pg_cancel_backend(pid) ends the query and leaves the session.",
            ),
            "long_transaction": Check(
                Severity.P2,
                "s",
                "A transaction stays open and does nothing; it keeps its locks, and dead rows.",
                "Find the application by its pid in pg_stat_activity: it forgot to commit. "
                "pg_terminate_backend(pid) ends it and rolls it back.",
            ),
            "lock_wait": Check(
                Severity.P1,
                "s",
                "Sessions wait for a lock that another one holds: requests stand still.",
                "End the session that holds it, which is named, with pg_terminate_backend(pid), "
                "unless it is about to finish.",
            ),
            "connections": Check(
                Severity.P1,
                "%",
                "Nearly every connection that the server allows is in use; soon it refuses them.",
                "See in pg_stat_activity which application has so many; make its pool smaller, or "
                "put a pooler before the server.",
            ),
            "replication_lag": Check(
                Severity.P1,
                "s",
                "A standby is behind: what is read there is old, and a failover would lose it.",
                "Look at the standby's disk and network, and at long queries there, which hold "
                "replay back.",
            ),
            "dead_rows": Check(
                Severity.P3,
                "rows",
                "A table holds many dead rows: scans read them all, and the disk fills.",
                "Run VACUUM on it, then see whether autovacuum reaches it or an old transaction "
                "keeps it from cleaning.",
            ),
        }
    )
    query: Duration = Field(default="60s", validate_default=True)
    transaction: Duration = Field(default="5m", validate_default=True)
    lock: Duration = Field(default="10s", validate_default=True)
    connections_percent: Annotated[StrictInt, Field(ge=1, le=100)] = 80
    lag: Duration = Field(default="60s", validate_default=True)
    dead_rows: Annotated[StrictInt, Field(ge=1)] = 100_000
    dead_percent: Annotated[StrictInt, Field(ge=1, le=100)] = 20


class SqlProbe:
    """Asks PostgreSQL's own views, in a transaction that cannot write."""

    name: ClassVar[str] = "sql"
    Options: ClassVar[type[ProbeOptions]] = SqlOptions
    each_host: ClassVar[bool] = False

    def look(self, ctx: ProbeContext, probe: Probe) -> Look:
        options = cast(SqlOptions, probe.options)
        with ctx.sql() as connection:
            if connection.dialect.name != "postgresql":
                connection.execute(text("select 1"))
                return Look((), (_NONE,))
            sees_all = connection.execute(_SEES_ALL).scalar_one()
            readings = [
                *_sessions(connection, options),
                *_connections(connection, options),
                *_lag(connection, options),
                *_dead_rows(connection, options),
            ]
        return Look(readings, () if sees_all else (_HIDDEN,))


_SEES_ALL = text("select pg_has_role(current_user, 'pg_read_all_stats', 'usage')")
_SESSIONS = text("""
select pid, state, wait_event_type = 'Lock' as waits, pg_blocking_pids(pid) as blockers,
  extract(epoch from clock_timestamp() - query_start) as query_seconds,
  extract(epoch from clock_timestamp() - xact_start) as transaction_seconds,
  extract(epoch from clock_timestamp() - coalesce(
    (select min(waitstart) from pg_locks where pg_locks.pid = a.pid and not granted), query_start
  )) as wait_seconds
from pg_stat_activity a
where backend_type = 'client backend' and pid <> pg_backend_pid()
  and datname = current_database() and state <> 'idle'
""")
_CONNECTIONS = text("""
select count(*) as used, current_setting('max_connections')::int as most from pg_stat_activity
where backend_type = 'client backend'
""")
_LAG = text("""
select coalesce(nullif(application_name, ''), client_addr::text, 'standby') as standby,
  extract(epoch from greatest(
    replay_lag,
    case when replay_lsn < pg_current_wal_lsn() then clock_timestamp() - reply_time end
  )) as seconds
from pg_stat_replication
""")
_OWN_LAG = text("""
select case when pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() then 0
  else extract(epoch from clock_timestamp() - pg_last_xact_replay_timestamp()) end as seconds
""")
_DEAD = text("""
select schemaname || '.' || relname as name, n_dead_tup as dead, n_live_tup as live
from pg_stat_user_tables where n_dead_tup >= :rows
order by n_dead_tup desc limit :most
""")


def _sessions(connection: Connection, options: SqlOptions) -> Sequence[Reading]:
    """Each cause once: who waits for a lock is not slow, and who holds it up is named there."""
    sessions = connection.execute(_SESSIONS).all()
    lock, query = _seconds(options.lock), _seconds(options.query)
    waiting = [one for one in sessions if one.waits and float(one.wait_seconds or 0) > lock]
    blockers = {pid for one in waiting for pid in one.blockers}
    readings = []
    if waiting:
        longest = max(float(one.wait_seconds) for one in waiting)
        # Whoever waits for somebody who waits is held up by the first of the queue.
        first = sorted(blockers - {one.pid for one in waiting}) or sorted(blockers)
        holders = ", ".join(map(str, first[:5]))
        says = f"{len(waiting)} waiting, {longest:,.0f} s at most, for pid {holders}"
        readings.append(Reading(SQL, "lock_wait", True, says, round(longest, 1)))
    running = [one for one in sessions if one.state == "active" and not one.waits]
    readings += _longest("long_query", running, "query_seconds", query)
    idle = [
        one
        for one in sessions
        if str(one.state).startswith("idle in transaction") and one.pid not in blockers
    ]
    limit = _seconds(options.transaction)
    return [*readings, *_longest("long_transaction", idle, "transaction_seconds", limit)]


def _longest(check: str, sessions: Sequence[Any], column: str, limit: float) -> list[Reading]:
    seconds = {one.pid: float(getattr(one, column) or 0) for one in sessions}
    over = {pid: took for pid, took in seconds.items() if took > limit}
    if not over:
        return []
    pid, took = max(over.items(), key=lambda each: each[1])
    others = f", and {len(over) - 1} more" if len(over) > 1 else ""
    return [Reading(SQL, check, True, f"pid {pid} for {took:,.0f} s{others}", round(took, 1))]


def _connections(connection: Connection, options: SqlOptions) -> Sequence[Reading]:
    row = connection.execute(_CONNECTIONS).one()
    percent, limit = 100 * row.used / row.most, options.connections_percent
    says = f"{row.used} of {row.most} in use, above {limit} % is too much"
    return [Reading(SQL, "connections", percent > limit, says, round(percent, 1))]


def _lag(connection: Connection, options: SqlOptions) -> Sequence[Reading]:
    limit = _seconds(options.lag)
    if connection.execute(text("select pg_is_in_recovery()")).scalar_one():
        found = [("this standby", connection.execute(_OWN_LAG).scalar_one())]
    else:
        found = [(row.standby, row.seconds) for row in connection.execute(_LAG)]
    return [
        Reading(
            name,
            "replication_lag",
            float(seconds or 0) > limit,
            f"{float(seconds or 0):,.0f} s behind, above {limit:,.0f} s is too much",
            round(float(seconds or 0), 1),
        )
        for name, seconds in found
    ]


def _dead_rows(connection: Connection, options: SqlOptions) -> Sequence[Reading]:
    given = {"rows": options.dead_rows, "most": MOST}
    return [
        Reading(
            row.name,
            "dead_rows",
            True,
            f"{row.dead:,} dead rows beside {row.live:,}",
            float(row.dead),
        )
        for row in connection.execute(_DEAD, given)
        if 100 * row.dead > options.dead_percent * (row.dead + row.live)
    ]


def _seconds(age: Duration) -> float:
    return age.delta.total_seconds()
