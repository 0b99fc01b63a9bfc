"""PostgreSQL roles for the control database, as statements for the owner of its tables.

What the log consists of can only be added to; everything else changes with the work.
"""

from collections.abc import Iterator

from sqlalchemy import make_url

from worker.tables import (
    Checkpoint,
    Entry,
    Position,
    Subtree,
    Table,
    Unsequenced,
    Verification,
)

WORK = "tend_control"
APPENDED = tuple(
    table.__tablename__ for table in (Entry, Position, Subtree, Checkpoint, Verification)
)
"""Nobody who works may update or delete here."""
_MIGRATED = "alembic_version"


def statements(schema: str = "public") -> Iterator[str]:
    """The role of schedulers, workers and commands; `tend migrate` is the owner's."""
    yield f"CREATE ROLE {WORK} NOLOGIN;"
    yield f"GRANT USAGE, CREATE ON SCHEMA {schema} TO {WORK};"
    yield f"GRANT SELECT ON {schema}.{_MIGRATED} TO {WORK};"
    for name in sorted(Table.metadata.tables):
        yield f"GRANT {_privileges(name)} ON {schema}.{name} TO {WORK};"
    yield f"GRANT USAGE, SELECT ON ALL SEQUENCES IN SCHEMA {schema} TO {WORK};"


def is_server(url: str) -> bool:
    """Whether the control database knows users at all."""
    return make_url(url).get_backend_name() == "postgresql"


def _privileges(table: str) -> str:
    if table in APPENDED:
        return "SELECT, INSERT"
    if table == Unsequenced.__tablename__:
        return "SELECT, INSERT, DELETE"
    return "SELECT, INSERT, UPDATE, DELETE"
