"""A PostgreSQL's indicators: sessions at work, and how far its standbys are behind."""

from sqlalchemy import text

from worker.targets.base import Reading
from worker.targets.sql_server import Transaction

# A standby that hangs reports nothing more, so what it has not replayed counts from its last word.
_QUERY = text("""
select
  pg_has_role(current_user, 'pg_read_all_stats', 'usage') as sees_all,
  (select count(*) from pg_stat_activity
    where state = 'active' and backend_type = 'client backend' and pid <> pg_backend_pid()
  ) as active,
  (select coalesce(max(extract(epoch from greatest(
      replay_lag,
      case when replay_lsn < pg_current_wal_lsn() then clock_timestamp() - reply_time end
    ))), 0) from pg_stat_replication
  ) as lag
""")
_HIDDEN = "the user does not see other sessions, grant pg_monitor"


def read(transaction: Transaction) -> tuple[Reading, ...]:
    """Without the role that sees all, PostgreSQL shows other sessions with nothing in them."""
    row = transaction.execute(_QUERY).one()
    values = {"active_sessions": row.active, "replication_lag": row.lag}
    return tuple(
        Reading(name, float(value)) if row.sees_all else Reading(name, None, _HIDDEN)
        for name, value in values.items()
    )
