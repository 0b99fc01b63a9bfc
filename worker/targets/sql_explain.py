"""Whether an index finds what a selector describes, and which one is missing."""

from collections.abc import Iterator, Sequence
from typing import Any

from sqlalchemy import ClauseElement, ColumnElement, Executable, False_, text
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler

from policies.selectors import AllOf, AnyOf, Selector
from worker.targets.sql_server import Transaction
from worker.targets.sql_table import SqlTable

_PARTIAL = {
    "postgresql": text("""
        SELECT i.relname FROM pg_index x JOIN pg_class i ON i.oid = x.indexrelid
        WHERE x.indpred IS NOT NULL AND i.relname = :index
    """),
    "sqlite": text("SELECT name FROM pragma_index_list(:table) WHERE partial AND name = :index"),
}


class Explain(Executable, ClauseElement):
    """`EXPLAIN` before a query."""

    inherit_cache = False

    def __init__(self, query: ClauseElement) -> None:
        self.query = query


@compiles(Explain, "postgresql")
def _postgres(element: Explain, compiler: SQLCompiler, **kw: Any) -> str:
    return f"EXPLAIN (FORMAT JSON) {compiler.process(element.query, **kw)}"


@compiles(Explain, "sqlite")
def _sqlite(element: Explain, compiler: SQLCompiler, **kw: Any) -> str:
    return f"EXPLAIN QUERY PLAN {compiler.process(element.query, **kw)}"


def scans(transaction: Transaction, table: SqlTable, condition: ColumnElement[bool]) -> bool:
    """Whether the database would read the whole table, or the whole of an index, for this."""
    if isinstance(condition, False_):
        return False
    query = Explain(table.select(table.key).where(condition))
    if transaction.dialect == "sqlite":
        steps = [row.detail for row in transaction.execute(query)]
        whole = [step.partition(" INDEX ")[2] for step in steps if step.startswith("SCAN ")]
    else:
        transaction.set({"enable_seqscan": "off"})
        plan = transaction.execute(query).scalar_one()
        transaction.set({"enable_seqscan": "on"})
        whole = list(_read_whole(plan[0]["Plan"]))
    return not all(_is_partial(transaction, table, index) for index in whole)


def index_command(transaction: Transaction, name: str, field: str) -> str:
    quote = transaction.connection.dialect.identifier_preparer.quote
    if transaction.dialect == "sqlite":
        label = quote(f"{name}_{field}")
        return f"CREATE INDEX {label} ON {quote(name)} ({quote(field)});"
    where = ".".join(map(quote, name.split(".")))
    return f"CREATE INDEX CONCURRENTLY ON {where} ({quote(field)});"


def alternatives(selector: Selector) -> Sequence[Selector]:
    """The parts of a selector that each need an index of their own."""
    while isinstance(selector, AllOf):
        selector = selector.all[0]
    return selector.any if isinstance(selector, AnyOf) else (selector,)


def _read_whole(node: dict[str, Any]) -> Iterator[str]:
    """The indexes that are read from end to end, and an empty name for a table that is."""
    for child in node.get("Plans", ()):
        yield from _read_whole(child)
    if node["Node Type"] == "Seq Scan" or (
        "Index" in node["Node Type"] and "Index Cond" not in node
    ):
        yield node.get("Index Name", "")


def _is_partial(transaction: Transaction, table: SqlTable, index: str) -> bool:
    """An index that holds no other records may be read whole."""
    found = transaction.execute(
        _PARTIAL[transaction.dialect], [{"table": table.source.name, "index": index}]
    )
    return index != "" and found.first() is not None
