"""How many records a table has: counted, or by PostgreSQL's own estimate."""

from sqlalchemy import func, select

from worker.targets.sql_explain import Explain
from worker.targets.sql_server import Transaction
from worker.targets.sql_table import SqlTable

COUNTED = 100_000
"""Up to here a table is counted at every look; beyond, PostgreSQL estimates."""


def count(transaction: Transaction, table: SqlTable, enough: int | None = None) -> int:
    """The records of the table, counted no further than `enough`."""
    some = select(1).select_from(table.source).limit(enough).subquery()
    return int(transaction.execute(select(func.count()).select_from(some)).scalar_one())


def count_quickly(transaction: Transaction, table: SqlTable) -> int:
    is_exact = transaction.dialect == "sqlite"
    counted = count(transaction, table, None if is_exact else COUNTED)
    if is_exact or counted < COUNTED:
        return counted
    query = Explain(select(1).select_from(table.source))
    return int(transaction.execute(query).scalar_one()[0]["Plan"]["Plan Rows"])
