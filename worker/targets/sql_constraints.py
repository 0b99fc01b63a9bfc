"""What a table's rows must keep to: values that are unique, and parents that are there.

Unique indexes over an expression or over a part of the rows are not among them: only a write
tells what they would say.
"""

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import TableClause, column, table, text

from worker.targets.sql_catalog import named
from worker.targets.sql_rows import RawType
from worker.targets.sql_server import Transaction

_UNIQUE = {
    "postgresql": text("""
        SELECT i.indexrelid::text AS id, a.attname AS name
        FROM pg_index i
        CROSS JOIN LATERAL unnest(i.indkey::int2[]) WITH ORDINALITY AS part(attnum, place)
        JOIN pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = part.attnum
        WHERE i.indrelid = to_regclass(:name) AND i.indisunique AND NOT i.indisprimary
            AND i.indpred IS NULL AND i.indexprs IS NULL AND part.place <= i.indnkeyatts
        ORDER BY i.indexrelid, part.place
    """),
    "sqlite": text("""
        SELECT i.name AS id, part.name
        FROM pragma_index_list(:name) i JOIN pragma_index_info(i.name) part
        WHERE i."unique" AND NOT i.partial AND i.origin <> 'pk'
            AND NOT EXISTS (SELECT 1 FROM pragma_index_info(i.name) WHERE name IS NULL)
        ORDER BY i.name, part.seqno
    """),
}
_PARENTS = {
    "postgresql": text("""
        SELECT f.oid::text AS id, n.nspname AS schema, c.relname AS parent,
            f.confrelid = f.conrelid AS is_own, a.attname AS name, p.attname AS refers_to
        FROM pg_constraint f
        JOIN pg_class c ON c.oid = f.confrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL unnest(f.conkey, f.confkey) AS pair(child, parent)
        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = pair.child
        JOIN pg_attribute p ON p.attrelid = f.confrelid AND p.attnum = pair.parent
        WHERE f.contype = 'f' AND f.conrelid = to_regclass(:name)
        ORDER BY f.oid
    """),
    "sqlite": text("""
        SELECT f.id, NULL AS schema, f."table" AS parent, lower(f."table") = lower(:name) AS is_own,
            f."from" AS name, coalesce(f."to", k.name) AS refers_to
        FROM pragma_foreign_key_list(:name) f
        LEFT JOIN pragma_table_info(f."table") k ON k.pk = f.seq + 1
        ORDER BY f.id, f.seq
    """),
}


@dataclass(frozen=True)
class Parent:
    """A foreign key of this table, to another one or to itself."""

    source: TableClause
    is_own: bool
    columns: tuple[str, ...]
    refers_to: tuple[str, ...]


def unique_columns(transaction: Transaction, collection: str) -> list[tuple[str, ...]]:
    """The columns of each unique index, beside the primary key."""
    dialect = transaction.dialect
    found: defaultdict[str, list[str]] = defaultdict(list)
    for each in transaction.execute(_UNIQUE[dialect], [named(dialect, collection)]):
        found[each.id].append(each.name)
    return [tuple(names) for names in found.values()]


def parents(transaction: Transaction, collection: str) -> list[Parent]:
    dialect = transaction.dialect
    found: defaultdict[tuple[str, str | None, str, bool], list[tuple[str, str]]] = defaultdict(list)
    for each in transaction.execute(_PARENTS[dialect], [named(dialect, collection)]):
        key = (str(each.id), each.schema, each.parent, bool(each.is_own))
        found[key].append((each.name, each.refers_to))
    return [
        Parent(
            table(parent, *(column(name, RawType()) for _, name in pairs), schema=schema),
            is_own,
            tuple(name for name, _ in pairs),
            tuple(name for _, name in pairs),
        )
        for (_, schema, parent, is_own), pairs in found.items()
    ]
