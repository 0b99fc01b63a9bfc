"""What the database's catalog says of a table; asked in each transaction, for migrations run.

A before-image without a column that was added meanwhile could not bring its record back.
"""

from collections import defaultdict
from dataclasses import dataclass
from functools import partial

from sqlalchemy import TableClause, column, table, text

from worker.errors import CollectionMissing, TargetError
from worker.targets.sql_rows import Form, Kind, RawType, StoredForm, TextForm
from worker.targets.sql_server import Transaction
from worker.targets.sql_table import SqlTable, quoted

_COLUMNS = {
    "postgresql": text("""
        SELECT c.relkind IN ('r', 'p') AS is_table, a.attname AS name,
            format_type(coalesce(nullif(t.typbasetype, 0), t.oid), NULL) AS type,
            a.attgenerated <> '' AS is_generated,
            array_position(i.indkey::int2[], a.attnum) AS position
        FROM pg_class c
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
        JOIN pg_type t ON t.oid = a.atttypid
        LEFT JOIN pg_index i ON i.indrelid = c.oid AND i.indisprimary
        WHERE c.oid = to_regclass(:name) ORDER BY a.attnum
    """),
    "sqlite": text("""
        SELECT m.type = 'table' AS is_table, x.name, upper(x.type) AS type,
            x.hidden IN (2, 3) AS is_generated, nullif(x.pk, 0) AS position
        FROM sqlite_master m JOIN pragma_table_xinfo(m.name) x
        WHERE m.name = :name AND m.type IN ('table', 'view') AND x.hidden <> 1 ORDER BY x.cid
    """),
}
_REFERENCES = {
    "postgresql": text("""
        SELECT f.oid AS id, n.nspname AS schema, c.relname AS child,
            a.attname AS name, p.attname AS parent
        FROM pg_constraint f
        JOIN pg_class c ON c.oid = f.conrelid
        JOIN pg_namespace n ON n.oid = c.relnamespace
        CROSS JOIN LATERAL unnest(f.conkey, f.confkey) AS pair(child, parent)
        JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = pair.child
        JOIN pg_attribute p ON p.attrelid = f.confrelid AND p.attnum = pair.parent
        WHERE f.contype = 'f' AND f.conparentid = 0 AND f.confrelid = to_regclass(:name)
    """),
    "sqlite": text("""
        SELECT f.id, NULL AS schema, m.name AS child, f."from" AS name,
            coalesce(f."to", k.name) AS parent
        FROM sqlite_master m
        JOIN pragma_foreign_key_list(m.name) f
        LEFT JOIN pragma_table_info(:name) k ON k.pk = f.seq + 1
        WHERE m.type = 'table' AND lower(f."table") = lower(:name)
    """),
}
_POSTGRES_KINDS = {
    **dict.fromkeys(("smallint", "integer", "bigint"), Kind.INTEGER),
    "numeric": Kind.DECIMAL,
    **dict.fromkeys(("real", "double precision"), Kind.FLOAT),
    "boolean": Kind.BOOLEAN,
    **dict.fromkeys(("text", "character varying", "character", "citext"), Kind.TEXT),
    "date": Kind.DAY,
    "timestamp without time zone": Kind.MOMENT,
    "timestamp with time zone": Kind.INSTANT,
}
# What a declared type contains, in SQLite's own manner; the first that fits.
_SQLITE_KINDS = {
    "BOOL": Kind.BOOLEAN,
    **dict.fromkeys(("TIMESTAMP", "DATETIME"), Kind.MOMENT),
    "DATE": Kind.DAY,
    "INT": Kind.INTEGER,
    **dict.fromkeys(("CHAR", "CLOB", "TEXT"), Kind.TEXT),
    **dict.fromkeys(("REAL", "FLOA", "DOUB"), Kind.FLOAT),
    **dict.fromkeys(("NUMERIC", "DECIMAL"), Kind.DECIMAL),
}


@dataclass(frozen=True)
class Reference:
    """A foreign key that points to a table, from another one or from itself."""

    child: TableClause
    pairs: tuple[tuple[str, str], ...]
    """The child's column and the parent's."""


def look_up(transaction: Transaction, where: str, collection: str) -> SqlTable:
    """Raise `CollectionMissing` or `TargetError` unless it is a table with a primary key."""
    dialect = transaction.dialect
    columns = transaction.execute(_COLUMNS[dialect], [named(dialect, collection)]).all()
    if not columns:
        raise CollectionMissing(
            f"{where} does not exist; check `collection` in the policy and the database in "
            "TEND_SQL_URL."
        )
    if not columns[0].is_table:
        raise TargetError(f"{where} is no table but a view or the like; name the table behind it.")
    key = sorted((each.position, each.name) for each in columns if each.position is not None)
    if not key:
        raise TargetError(f"{where} has no primary key to tell its records apart; create one.")
    form: Form = StoredForm() if dialect == "sqlite" else TextForm()
    kind_of = _sqlite_kind if dialect == "sqlite" else _postgres_kind
    schema, name = parts(dialect, collection)
    return SqlTable(
        where=where,
        dialect=dialect,
        source=table(name, *(column(each.name, RawType()) for each in columns), schema=schema),
        kinds={each.name: kind_of(each.type) for each in columns},
        key=tuple(name for _, name in key),
        generated=frozenset(each.name for each in columns if each.is_generated),
        form=form,
        beside=partial(_beside, transaction, where.removesuffix(collection)),
    )


def _beside(transaction: Transaction, database: str, collection: str) -> SqlTable:
    return look_up(transaction, database + collection, collection)


def references(transaction: Transaction, collection: str) -> list[Reference]:
    dialect = transaction.dialect
    found: defaultdict[tuple[int, str | None, str], list[tuple[str, str]]] = defaultdict(list)
    for each in transaction.execute(_REFERENCES[dialect], [named(dialect, collection)]):
        found[each.id, each.schema, each.child].append((each.name, each.parent))
    return [
        Reference(
            table(child, *(column(name, RawType()) for name, _ in pairs), schema=schema),
            tuple(pairs),
        )
        for (_, schema, child), pairs in found.items()
    ]


def keep_columns(transaction: Transaction, collection: str) -> None:
    """Let no migration in from now on; before anything is read, so that all of it is seen."""
    if transaction.dialect == "postgresql":
        name = quoted(*parts(transaction.dialect, collection))
        transaction.execute(text(f"LOCK TABLE {name} IN ROW EXCLUSIVE MODE"))


def parts(dialect: str, collection: str) -> tuple[str | None, str]:
    """The schema, if PostgreSQL is told one, and the table's name."""
    if dialect == "sqlite":
        return None, collection
    schema, _, name = collection.rpartition(".")
    return schema or None, name


def named(dialect: str, collection: str) -> dict[str, str]:
    """The parameter by which the catalog is asked for a table."""
    if dialect == "sqlite":
        return {"name": collection}
    return {"name": quoted(*parts(dialect, collection))}


def _postgres_kind(name: str) -> Kind:
    return _POSTGRES_KINDS.get(name, Kind.OTHER)


def _sqlite_kind(name: str) -> Kind:
    return next((kind for part, kind in _SQLITE_KINDS.items() if part in name), Kind.OTHER)
