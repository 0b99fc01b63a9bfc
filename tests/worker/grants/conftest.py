import secrets
from collections.abc import Iterator
from contextlib import closing

import pytest
from sqlalchemy import make_url, text

from worker.database import Database
from worker.grants import control


@pytest.fixture
def owner(migrated_postgres_url: str) -> Iterator[Database]:
    """The control database as the owner of its tables sees it."""
    with closing(Database(migrated_postgres_url)) as database:
        yield database


@pytest.fixture
def working(owner: Database) -> Iterator[Database]:
    """The same as its worker's user sees it."""
    name, password = f"worker_{secrets.token_hex(4)}", secrets.token_hex(8)
    role = f"{control.WORK}_{secrets.token_hex(4)}"  # roles are the server's, not a database's
    with owner.transaction() as session:
        for statement in control.statements():
            session.execute(text(statement.replace(control.WORK, role)))
        session.execute(text(f"CREATE ROLE {name} LOGIN PASSWORD '{password}' IN ROLE {role}"))
    url = make_url(str(owner.engine.url.render_as_string(hide_password=False)))
    database = Database(url.set(username=name, password=password).render_as_string(False))
    yield database
    database.close()
    with owner.transaction() as session:
        for each in (name, role):
            session.execute(text(f"DROP OWNED BY {each}"))
            session.execute(text(f"DROP ROLE {each}"))
