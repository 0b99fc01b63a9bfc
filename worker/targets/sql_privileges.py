"""What PostgreSQL lets a user do with the policies' tables, and the grants for the rest."""

from collections.abc import Iterable, Iterator, Sequence

from sqlalchemy import inspect, text

from worker.targets.sql_catalog import parts, references
from worker.targets.sql_fences import FENCES
from worker.targets.sql_server import Transaction
from worker.targets.sql_table import quoted

READS = ("SELECT",)
WRITES = ("INSERT", "UPDATE", "DELETE")

_NAME = text("SELECT CAST(to_regclass(:name) AS text)")
_MAY = text("""
    SELECT privilege FROM unnest(CAST(:privileges AS text[])) AS privilege
    WHERE has_table_privilege(:name, privilege)
""")
_HIDES = text("SELECT row_security_active(:name)")
_SCHEMA = text("""
    SELECT quote_ident(coalesce(current_schema(), 'public')) AS name,
        coalesce(has_schema_privilege(current_schema(), 'CREATE'), false) AS may_create
""")
_USER = text("SELECT quote_ident(current_user)")


def grants_to_write(transaction: Transaction, collections: Iterable[str]) -> Iterator[str]:
    """The grants that the user lacks to change these tables behind fences, and to undo that."""
    changed = _tables(transaction, collections)
    referring = _tables(transaction, _children(transaction, collections))
    yield from _grants(transaction, changed, READS + WRITES)
    yield from _grants(transaction, [name for name in referring if name not in changed], READS)
    if inspect(transaction.connection).has_table(FENCES.name):
        yield from _grants(transaction, [FENCES.name], READS + WRITES)
        return
    schema = transaction.execute(_SCHEMA).one()
    if not schema.may_create:
        yield f"GRANT USAGE, CREATE ON SCHEMA {schema.name} TO {_user(transaction)};"


def grants_to_read(transaction: Transaction, collections: Iterable[str]) -> Iterator[str]:
    """The grants that the user lacks to make plans."""
    return _grants(transaction, _tables(transaction, collections), READS)


def writes(transaction: Transaction, collections: Iterable[str]) -> list[str]:
    """What a user who is only to read may write."""
    return [
        f"{privilege} on {name}"
        for name in _tables(transaction, collections)
        for privilege in _held(transaction, name, WRITES)
    ]


def hidden(transaction: Transaction, collections: Iterable[str]) -> list[str]:
    """The tables of which the user may see a part, by row level security."""
    names = _tables(transaction, collections)
    return [name for name in names if transaction.execute(_HIDES, [{"name": name}]).scalar_one()]


def _grants(transaction: Transaction, names: Iterable[str], wanted: Sequence[str]) -> Iterator[str]:
    for name in names:
        held = _held(transaction, name, wanted)
        lacks = [privilege for privilege in wanted if privilege not in held]
        if lacks:
            yield f"GRANT {', '.join(lacks)} ON {name} TO {_user(transaction)};"


def _held(transaction: Transaction, name: str, wanted: Sequence[str]) -> Sequence[str]:
    query = {"name": name, "privileges": list(wanted)}
    return transaction.execute(_MAY, [query]).scalars().all()


def _tables(transaction: Transaction, collections: Iterable[str]) -> list[str]:
    """The names of those that are there, each once and in PostgreSQL's own spelling."""
    found = []
    for collection in collections:
        name = {"name": quoted(*parts("postgresql", collection))}
        found.append(transaction.execute(_NAME, [name]).scalar_one())
    return [name for name in dict.fromkeys(found) if name is not None]


def _children(transaction: Transaction, collections: Iterable[str]) -> list[str]:
    """The tables that refer to these, which a deletion has to look into."""
    return [
        f"{reference.child.schema}.{reference.child.name}"
        for collection in collections
        for reference in references(transaction, collection)
    ]


def _user(transaction: Transaction) -> str:
    return str(transaction.execute(_USER).scalar_one())
