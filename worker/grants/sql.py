"""PostgreSQL roles, as statements for the tables' owner. SQLite knows no users."""

from collections.abc import Iterable, Sequence

from policies.models import Policy
from worker.grants.footprint import footprint
from worker.targets.sql_catalog import parts, references
from worker.targets.sql_privileges import READS, WRITES
from worker.targets.sql_server import Transaction
from worker.targets.sql_table import quoted

TRIAL = "tend_trial"
WORK = "tend_work"
MONITOR = "pg_monitor"
"""Who has it sees other sessions and standbys, as probes and the throttle must."""


def statements(
    policies: Iterable[Policy], transaction: Transaction, schema: str = "public"
) -> list[str]:
    """Both roles; the database is asked which tables refer to those that a policy changes."""
    found = footprint(policies, "sql")
    tables = [*found.changed, *found.quarantines]
    parents = [name for name in found.read if name not in tables]
    beside = [name for name in _referring(transaction, found.changed) if name not in tables]
    beside = list(dict.fromkeys([*parents, *beside]))
    named = [_schema(name) or schema for name in (*tables, *beside)]
    schemas = list(dict.fromkeys([schema, *named]))
    return [
        f"CREATE ROLE {TRIAL} NOLOGIN;",
        *(f"GRANT USAGE ON SCHEMA {quoted(name)} TO {TRIAL};" for name in schemas),
        *_grants([*tables, *parents], READS, TRIAL),
        f"GRANT {MONITOR} TO {TRIAL};",
        f"CREATE ROLE {WORK} NOLOGIN;",
        *(f"GRANT USAGE ON SCHEMA {quoted(name)} TO {WORK};" for name in schemas),
        f"GRANT CREATE ON SCHEMA {quoted(schema)} TO {WORK};",
        *_grants(tables, READS + WRITES, WORK),
        *_grants(beside, READS, WORK),
        f"GRANT {MONITOR} TO {WORK};",
    ]


def _grants(tables: Iterable[str], privileges: Sequence[str], role: str) -> list[str]:
    return [
        f"GRANT {', '.join(privileges)} ON {quoted(*parts('postgresql', name))} TO {role};"
        for name in tables
    ]


def _referring(transaction: Transaction, tables: Iterable[str]) -> list[str]:
    """The tables whose foreign keys point to these: a deletion has to look into them."""
    found = [
        f"{reference.child.schema}.{reference.child.name}"
        for name in tables
        for reference in references(transaction, name)
    ]
    return list(dict.fromkeys(found))


def _schema(table: str) -> str | None:
    return parts("postgresql", table)[0]
