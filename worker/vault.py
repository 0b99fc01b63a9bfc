"""What a family, or Tend's own notices, seal: one key for each, made when it is first needed."""

from contextlib import suppress

from sqlalchemy import select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from worker import database
from worker.database import Database
from worker.errors import ArchiveError
from worker.keys import Keyring, RunKey
from worker.tables import FamilyKey


def open_vault(session: Session, keyring: Keyring, family: str) -> RunKey:
    """The family's key; whoever asks first makes it."""
    row = session.get(FamilyKey, family)
    if row is None:
        key = keyring.wrap(RunKey.new())
        row = FamilyKey(family=family, key=key, at=database.now(session))
        try:
            with session.begin_nested():
                session.add(row)
        except IntegrityError:  # another process was first, and its key stands
            row = session.get_one(FamilyKey, family)
    return keyring.unwrap(row.key)


def renew(db: Database, keyring: Keyring) -> None:
    """Have every family's key wrapped by the first of TEND_KEYS, so that the others can go.

    A run's key lasts as long as its archive, these for ever. What no key opens stays as it is, and
    `tend doctor` names it.
    """
    with db.transaction() as session:
        for row in session.scalars(select(FamilyKey).with_for_update()):
            with suppress(ArchiveError):
                row.key = keyring.renewed(row.key) or row.key
