"""Small logs for the tests: entries, and whoever gives them positions."""

from base64 import b64encode

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.audit import entries
from worker.audit.sequencer import Sequencer
from worker.audit.signing import Signer
from worker.database import Database
from worker.identity import Actor
from worker.tables import Checkpoint, Entry, Position

KEY = b64encode(bytes(range(32))).decode()
SIGNER = Signer.of("test", KEY)
ADA = Actor("ada@console", "claimed")


def add(session: Session, number: int = 1, action: str = "policy_enabled") -> None:
    for each in range(number):
        entries.append(session, action, ADA, policy="a-test", detail={"number": each})


def write(database: Database, number: int = 1, action: str = "policy_enabled") -> None:
    """Entries, in one transaction."""
    with database.transaction() as session:
        add(session, number, action)


def sequence(database: Database) -> Checkpoint | None:
    """What a new process's sequencer does."""
    return Sequencer(database, SIGNER).sequence()


def positions(database: Database) -> list[tuple[int, int]]:
    """Each position and its entry."""
    with database.transaction() as session:
        found = select(Position.position, Position.entry_id).order_by(Position.position)
        return [(position, entry) for position, entry in session.execute(found)]


def ids(database: Database) -> list[int]:
    with database.transaction() as session:
        return list(session.scalars(select(Entry.id).order_by(Entry.id)))
