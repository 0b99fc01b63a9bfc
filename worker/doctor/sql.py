"""A SQL target: reachable, on time, and who may do what in it."""

import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime

from sqlalchemy import text

from worker.doctor.check import (
    CONNECT_SECONDS,
    Check,
    Site,
    Verdict,
    compare_clocks,
    failed,
    listed,
    ok,
    warning,
)
from worker.doctor.policies import of_kind
from worker.grants.footprint import footprint
from worker.targets.sql_privileges import grants_to_read, grants_to_write, hidden, writes
from worker.targets.sql_server import SqlServer, Transaction

_SETTING = "TEND_SQL_URL"
_READ_SETTING = "TEND_SQL_READ_URL"
_POSTGRES = text(
    "SELECT current_setting('server_version') AS version, pg_is_in_recovery() AS is_standby"
)
_CLOCK = text("SELECT clock_timestamp()")


@contextmanager
def _asked(url: str) -> Iterator[Transaction]:
    with (
        closing(SqlServer(url)) as server,
        server.reading(server.name, CONNECT_SECONDS, primary=True) as transaction,
    ):
        yield transaction


def _reachable(site: Site) -> Verdict:
    with _asked(site.settings.need("sql_url")) as transaction:
        if transaction.dialect == "sqlite":
            version = transaction.execute(text("SELECT sqlite_version()")).scalar_one()
            return ok(f"SQLite {version} opens the file and has transactions.")
        found = transaction.execute(_POSTGRES).one()
    if found.is_standby:
        return failed(
            f"PostgreSQL {found.version} answers but is a standby, where nothing can be changed; "
            "put the primary into TEND_SQL_URL, and the standby perhaps into TEND_SQL_READ_URL."
        )
    return ok(f"PostgreSQL {found.version} answers and has transactions.")


def _on_time(site: Site) -> Verdict:
    with _asked(site.settings.need("sql_url")) as transaction:
        if transaction.dialect == "sqlite":
            return ok("SQLite has no clock of its own.")

        def ask() -> datetime:
            moment: datetime = transaction.execute(_CLOCK).scalar_one()
            return moment

        ask()  # connecting takes time that is not the clock's
        return compare_clocks(site, "PostgreSQL's clock", ask)


def _user(site: Site) -> Verdict:
    url = site.settings.need("sql_url")
    with _asked(url) as transaction:
        if transaction.dialect == "sqlite":
            return _writable(url)
        found = footprint(of_kind(site, "sql"), "sql")
        written = (*found.changed, *found.quarantines)
        lacks = [*grants_to_write(transaction, written), *grants_to_read(transaction, found.read)]
        partly = hidden(transaction, (*found.changed, *found.read))
    if partly:
        return _partly(_SETTING, partly)
    if lacks:
        return failed(
            f"The user in TEND_SQL_URL lacks what policies or fences need: {' '.join(lacks)}"
        )
    return ok("The user in TEND_SQL_URL may do what the policies and fences need.")


def _partly(setting: str, tables: list[str]) -> Verdict:
    return failed(
        f"Row level security may hide rows of {listed(tables)} from the user in {setting}, and "
        "guards count what they see; give the user BYPASSRLS."
    )


def _writable(url: str) -> Verdict:
    """Whether SQLite lets this process begin to write; nothing is written."""
    with closing(SqlServer(url)) as server:
        ends = time.monotonic() + CONNECT_SECONDS
        with server.writing(server.name, ends):
            return ok("SQLite knows no users, and this process may write its file.")


def _read_user(site: Site) -> Verdict:
    secret = site.settings.sql_read_url
    if secret is None:
        return ok("TEND_SQL_READ_URL is not set: the user who writes also reads for plans.")
    with _asked(secret.get_secret_value()) as transaction:
        if transaction.dialect == "sqlite":
            return ok("SQLite knows no users; plans are read with writing switched off.")
        found = footprint(of_kind(site, "sql"), "sql")
        read = (*found.changed, *found.read)
        lacks = list(grants_to_read(transaction, read))
        may_write = writes(transaction, found.changed)
        partly = hidden(transaction, read)
    if partly:
        return _partly(_READ_SETTING, partly)
    if lacks:
        return failed(f"The user in TEND_SQL_READ_URL lacks what plans need: {' '.join(lacks)}")
    if may_write:
        return warning(
            f"The user in TEND_SQL_READ_URL may write ({listed(may_write)}); grant it SELECT alone."
        )
    return ok("The user in TEND_SQL_READ_URL reads and cannot write.")


CHECKS = (
    Check("sql", _SETTING, _reachable),
    Check("sql_clock", _SETTING, _on_time),
    Check("sql_user", _SETTING, _user),
    Check("sql_read_user", _READ_SETTING, _read_user),
)
