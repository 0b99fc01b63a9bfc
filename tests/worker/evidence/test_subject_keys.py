"""The keys of subjects, on each kind of control database."""

from concurrent.futures import ThreadPoolExecutor

from sqlalchemy import func, select

from tests.worker.scenario import TESTER
from worker.database import Database
from worker.evidence.subject_keys import SubjectKeys
from worker.keys import Keyring
from worker.tables import SubjectKey

MANY = [("userId", str(number)) for number in range(1_200)]


def test_keys_are_the_same_whoever_makes_them_and_in_whatever_order(
    control: Database, keyring: Keyring
) -> None:
    keys = SubjectKeys.of(control, keyring)
    with ThreadPoolExecutor(3) as pool:
        wanted = [MANY, MANY[600:], MANY[:600]]
        first, *others = pool.map(keys.make, wanted)
    assert len(set(first.values())) == 1_200
    assert all(first[subject] == key for one in others for subject, key in one.items())
    with control.transaction() as session:
        assert session.scalar(select(func.count()).select_from(SubjectKey)) == 1_200


def test_another_process_finds_the_same_key(control: Database, keyring: Keyring) -> None:
    made = SubjectKeys.of(control, keyring).make([("userId", "ü")])
    with control.transaction() as session:
        _, found = SubjectKeys.of(control, keyring).find(session, ("userId", "ü"))
    assert found == made["userId", "ü"]


def test_a_destroyed_key_is_made_anew_as_another_one(control: Database, keyring: Keyring) -> None:
    keys = SubjectKeys.of(control, keyring)
    before = keys.make(MANY[:2])
    keys.destroy(MANY[0], TESTER)
    after = keys.make(MANY[:2])
    assert after[MANY[0]] != before[MANY[0]]
    assert after[MANY[1]] == before[MANY[1]]
