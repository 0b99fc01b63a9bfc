"""Queueing a notice: a row in the transaction of what it announces, and one for each cause."""

from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from jobs.task import Notice as Wanted
from worker import database
from worker.keys import Keyring
from worker.tables import Notice
from worker.vault import open_vault

FAMILY = "notices"
MOST = 2_000
"""Letters of one notice; messages of some services have no room for more."""


def queue(session: Session, keyring: Keyring, wanted: Wanted, *, escalates: bool = False) -> None:
    """Owe people a notice; of a cause that they were told of already, nothing more is owed."""
    moment = database.now(session)
    sealed = open_vault(session, keyring, FAMILY).seal(
        wanted.text[:MOST].encode(), name_of(wanted.cause)
    )
    owed = Notice(
        cause=wanted.cause,
        urgent=wanted.urgent,
        text=sealed,
        escalates=escalates,
        at=moment,
        not_before=moment,
    )
    try:
        with session.begin_nested():
            session.add(owed)
    except IntegrityError:
        return


def name_of(cause: str) -> str:
    return f"notice/{cause}"
