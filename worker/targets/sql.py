"""A SQL target: reading for plans, counts, and the fences of its chunks.

Plans may be read where another URL says, by a user that cannot write. Whatever decides about a
write reads where the writes go.
"""

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from itertools import islice
from typing import Any

from sqlalchemy import Connection, func, not_, select

from jobs.base import Item
from policies.selectors import Selector, beside_parent, field_of, leaves, parent_of
from policies.subjects import spared
from worker.errors import CollectionMissing, DeadlineExceeded, IndexMissing, ParentUnusable
from worker.targets import sql_indicators
from worker.targets.base import Archive, BatchRecord, Reading
from worker.targets.quarantine import Origin
from worker.targets.sql_batch import TakeAlong
from worker.targets.sql_catalog import look_up
from worker.targets.sql_count import count, count_quickly
from worker.targets.sql_explain import alternatives, index_command, scans
from worker.targets.sql_fence import SqlFence
from worker.targets.sql_fences import SqlFences
from worker.targets.sql_judge import SqlJudge
from worker.targets.sql_look import SqlLook
from worker.targets.sql_orphans import judged, lacking, reason
from worker.targets.sql_quarantine import quarantine_of
from worker.targets.sql_rows import NativeRow, size_of
from worker.targets.sql_select import compile_selector
from worker.targets.sql_server import SqlServer, Transaction
from worker.targets.sql_table import SqlTable

SCAN_SECONDS = 300
COUNT_SECONDS = 60
POPULATION_SECONDS = 20
LOOK_SECONDS = 10
PING_SECONDS = 5
INDICATOR_SECONDS = 2
SAMPLE = 50
PAGE = 1_000


class SqlTarget:
    """One PostgreSQL or SQLite database; safe to share between threads, not between processes."""

    def __init__(
        self, url: str, read_url: str | None = None, take_along: TakeAlong | None = None
    ) -> None:
        self._take_along = take_along
        self._server = SqlServer(url, read_url)
        self._fences = SqlFences(self._server)
        self.name = self._server.name

    def close(self) -> None:
        self._server.close()

    def reader(
        self,
        collection: str,
        as_of: datetime,
        *,
        scan: bool,
        held: Selector | None = None,
        primary: bool = False,
    ) -> "SqlReader":
        where = self.where(collection)
        return SqlReader(self._server, collection, where, as_of, scan, held, primary=primary)

    @contextmanager
    def looking(self, seconds: float) -> Iterator[Connection]:
        """A transaction for a task that looks: where plans are read, and without a way to write."""
        with self._server.reading(self.name, seconds, primary=False) as transaction:
            yield transaction.connection

    @contextmanager
    def transaction(self, seconds: float) -> Iterator[Connection]:
        """A transaction for a task that writes, committed at its end."""
        with self._server.writing(self.name, time.monotonic() + seconds) as transaction:
            yield transaction.connection

    def look(self, collection: str) -> SqlLook:
        return SqlLook(self._server, collection, self.where(collection))

    def where(self, collection: str) -> str:
        return f"{self.name}, table {collection}"

    def check(self, collection: str, selector: Selector, as_of: datetime) -> None:
        self.reader(collection, as_of, scan=False).check(selector)

    def indicators(self) -> tuple[Reading, ...]:
        if self._server.dialect == "sqlite":
            return ()
        with self._server.reading(self.name, INDICATOR_SECONDS, primary=True) as transaction:
            return sql_indicators.read(transaction)

    def ping(self) -> None:
        for primary in (False, True):
            with self._server.reading(self.name, PING_SECONDS, primary=primary) as transaction:
                transaction.execute(select(1))

    def population(self, collection: str) -> int:
        return self._count_all(collection, POPULATION_SECONDS)

    def population_at_least(self, collection: str, enough: int) -> int:
        return self._count_all(collection, COUNT_SECONDS, enough)

    def population_now(self, collection: str) -> int:
        where = self.where(collection)
        with self._server.reading(where, LOOK_SECONDS, primary=True) as transaction:
            return count_quickly(transaction, look_up(transaction, where, collection))

    def average_size(self, collection: str) -> int:
        """Bytes of a record, by a small sample; 0 for an empty table."""
        where = self.where(collection)
        with self._server.reading(where, LOOK_SECONDS, primary=False) as transaction:
            table = look_up(transaction, where, collection)
            rows = transaction.stream(table.select(table.stored).limit(SAMPLE))
            sizes = [size_of(row) for row in table.rows(rows)]
        return sum(sizes) // len(sizes) if sizes else 0

    def count(self, collection: str, selector: Selector, as_of: datetime) -> int:
        where = self.where(collection)
        with self._server.reading(where, COUNT_SECONDS, primary=True) as transaction:
            table = look_up(transaction, where, collection)
            condition = compile_selector(selector, as_of, table)
            query = select(func.count()).select_from(table.source).where(condition)
            return int(transaction.execute(query).scalar_one())

    def count_of(
        self, collection: str, selector: Selector, as_of: datetime, keys: Sequence[Any]
    ) -> int:
        where = self.where(collection)
        with self._server.reading(where, COUNT_SECONDS, primary=True) as transaction:
            table = look_up(transaction, where, collection)
            return len(table.present(transaction, keys, compile_selector(selector, as_of, table)))

    def check_quarantine(self, collection: str) -> None:
        where = self.where(collection)
        with self._server.reading(where, LOOK_SECONDS, primary=True) as transaction:
            quarantine_of(transaction, where, collection)

    def reported(self, collection: str, selector: Selector, as_of: datetime) -> dict[str, int]:
        parent = parent_of(selector)
        if parent is None:
            return {}
        where = self.where(collection)
        with self._server.reading(where, COUNT_SECONDS, primary=False) as transaction:
            table = look_up(transaction, where, collection)
            beside = [compile_selector(each, as_of, table) for each in beside_parent(selector)]
            why = reason(table, parent).label("reason")
            query = select(why, func.count()).select_from(table.source).group_by(why)
            counted = transaction.execute(query.where(not_(judged(table, parent)), *beside))
            return {name: int(records) for name, records in sorted(map(tuple, counted))}

    def parents(self, collection: str, selector: Selector) -> dict[str, int]:
        parent = parent_of(selector)
        if parent is None:
            return {}
        try:
            population = self.population_now(parent.parent)
        except CollectionMissing as error:
            raise ParentUnusable(
                f"{self.where(parent.parent)} does not exist, so every record of {collection} "
                "would look like an orphan; check `parent` in the policy."
            ) from error
        if not population:
            raise ParentUnusable(
                f"{self.where(parent.parent)} holds no record, so every record of {collection} "
                "would look like an orphan."
            )
        return {parent.parent: population}

    def fence(
        self,
        name: str,
        collection: str,
        as_of: datetime,
        max_bytes: int,
        archive: Archive,
        origin: Origin | None = None,
    ) -> SqlFence:
        return SqlFence(
            name=name,
            collection=collection,
            where=self.where(collection),
            server=self._server,
            fences=self._fences,
            as_of=as_of,
            max_bytes=max_bytes,
            archive=archive,
            origin=origin,
            take_along=self._take_along,
        )

    def judge(self, collection: str, as_of: datetime, held: Selector | None = None) -> SqlJudge:
        return SqlJudge(self._server, collection, self.where(collection), as_of, held)

    def committed(self, name: str) -> tuple[BatchRecord, ...]:
        return self._fences.committed(name)

    def close_fence(self, name: str) -> tuple[BatchRecord, ...]:
        return self._fences.close(name)

    def forget(self, prefix: str) -> None:
        self._fences.forget(prefix)

    def ttl_indexes(self, collection: str) -> tuple[str, ...]:  # noqa: ARG002 - SQL knows none
        return ()

    def mirror(self, document_id: str, action: str, details: dict[str, Any], at: datetime) -> None:
        """Write nothing: SQL applications keep no log of this kind, and Tend's own has it all."""

    def _count_all(self, collection: str, seconds: float, enough: int | None = None) -> int:
        where = self.where(collection)
        with self._server.reading(where, seconds, primary=False) as transaction:
            return count(transaction, look_up(transaction, where, collection), enough)


class SqlReader:
    """Reads for a plan: its own connection if there is a read URL, and no way to write."""

    def __init__(
        self,
        server: SqlServer,
        collection: str,
        where: str,
        as_of: datetime,
        scan: bool,
        held: Selector | None,
        *,
        primary: bool,
    ) -> None:
        self._primary = primary
        self._server = server
        self._collection = collection
        self._where = where
        self._as_of = as_of
        self._scan = scan
        self._held = held

    def check(self, selector: Selector) -> None:
        with self._server.reading(self._where, LOOK_SECONDS, primary=self._primary) as transaction:
            table = look_up(transaction, self._where, self._collection)
            require_index(transaction, table, selector, self._as_of)

    def select(self, selector: Selector, fields: Sequence[str]) -> Iterator[Sequence[Item]]:
        ends = time.monotonic() + SCAN_SECONDS
        with self._server.reading(self._where, SCAN_SECONDS, primary=self._primary) as transaction:
            table = look_up(transaction, self._where, self._collection)
            if not self._scan:
                require_index(transaction, table, selector, self._as_of)
            names = tuple(dict.fromkeys([*table.key, *fields]))
            condition = compile_selector(spared(selector, self._held), self._as_of, table)
            query = table.select(names).where(condition)
            with transaction.stream(query) as found:
                rows = table.rows(found)
                while page := list(islice(rows, PAGE)):
                    if time.monotonic() > ends:
                        raise DeadlineExceeded(f"{self._where} took longer than allowed to read.")
                    yield [
                        Item(table.key_of(row), NativeRow(table.form, table.kinds, row))
                        for row in page
                    ]


def require_index(
    transaction: Transaction, table: SqlTable, selector: Selector, as_of: datetime
) -> None:
    """Raise `IndexMissing`, with the commands that create what this selector lacks."""
    parent = parent_of(selector)
    if parent is not None:
        commands = " ".join(lacking(transaction, table, parent))
        if not commands:
            return
    elif not scans(transaction, table, compile_selector(selector, as_of, table)):
        return
    else:
        fields = [
            field_of(next(iter(leaves(part))))
            for part in alternatives(selector)
            if scans(transaction, table, compile_selector(part, as_of, table))
        ]
        commands = " ".join(
            index_command(transaction, table.source.fullname, field)
            for field in dict.fromkeys(fields)
        )
    raise IndexMissing(
        f"{table.where} has no index for this selector; create it with {commands} or look with "
        "`tend plan --scan`."
    )
