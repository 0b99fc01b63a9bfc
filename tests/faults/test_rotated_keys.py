"""TEND_KEYS are rotated: a scheduler that starts with the new ones has what is sealed follow."""

from contextlib import closing

import pytest
from cryptography.fernet import Fernet

from tests.faults.processes import eventually, tend
from worker.database import Database
from worker.errors import ArchiveError
from worker.heartbeat import last_seen
from worker.keys import Keyring, RunKey
from worker.tables import FamilyKey
from worker.vault import open_vault


def opened_by(control: Database, keys: str) -> RunKey | None:
    with control.transaction() as session:
        try:
            return Keyring(keys).unwrap(session.get_one(FamilyKey, "pos_sync").key)
        except ArchiveError:
            return None


def is_up(control: Database) -> bool:
    """Whether a scheduler has said so: before, a signal ends it as any process."""
    with control.transaction() as session:
        return last_seen(session, "scheduler") is not None


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
def test_after_a_scheduler_has_started_with_both_keys_the_old_one_can_go(
    environment: dict[str, str], database_url: str
) -> None:
    old, new = environment["TEND_KEYS"], Fernet.generate_key().decode()
    with closing(Database(database_url)) as control:
        with control.transaction() as session:
            sealing = open_vault(session, Keyring(old), "pos_sync")
        assert opened_by(control, new) is None
        with tend({**environment, "TEND_KEYS": f"{new},{old}"}, "scheduler") as scheduler:
            assert eventually(lambda: opened_by(control, new)) == sealing
            assert eventually(lambda: is_up(control))
            assert scheduler.stop() == 0
        assert opened_by(control, old) is None
