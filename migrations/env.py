"""How Alembic meets the control database: always on a connection that was handed to it."""

from typing import Any, Literal

from alembic import context
from sqlalchemy.schema import DefaultClause
from sqlalchemy.sql.elements import False_
from sqlalchemy.sql.functions import now

from jobs.tables import UtcTime
from worker.tables import Table


def portable(kind: str, item: Any, _context: object) -> str | Literal[False]:
    """Write what differs between the dialects, or belongs to the app, in neutral words."""
    if kind == "type" and isinstance(item, UtcTime):
        return "sa.DateTime(timezone=True)"
    if kind == "server_default" and isinstance(item, DefaultClause):
        if isinstance(item.arg, now):
            return "sa.func.now()"
        if isinstance(item.arg, False_):
            return "sa.false()"
    return False


context.configure(
    connection=context.config.attributes["connection"],
    target_metadata=Table.metadata,
    render_as_batch=True,
    render_item=portable,
)
with context.begin_transaction():
    context.run_migrations()
