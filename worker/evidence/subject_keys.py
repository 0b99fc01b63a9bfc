"""The keys under which manifests name records: one per subject, and destroyed one by one.

A key is made of a secret of this installation and of the subject's own salt. Without the salt
nobody makes it again, and without the secret nobody learns from a copy of the database whose it is.
"""

import hmac
import os
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import islice

from sqlalchemy import select
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import Session

from worker import database
from worker.audit import entries
from worker.database import Database
from worker.errors import SubjectHeld, SubjectUnknown
from worker.keys import Keyring
from worker.operations import Person
from worker.tables import Hold, SubjectKey
from worker.vault import open_vault

Subject = tuple[str, str]
"""A name of holds/subjects.yaml, and the value as text."""

FAMILY = "subject_keys"
_PAGE = 500
_SALT_BYTES = 32


@dataclass(frozen=True)
class SubjectKeys:
    """Finds and makes the keys of subjects."""

    database: Database
    secret: bytes = field(repr=False)

    @classmethod
    def of(cls, db: Database, keyring: Keyring) -> "SubjectKeys":
        """With this installation's secret, which is made when it is first needed."""
        with db.transaction() as session:
            return cls(db, open_vault(session, keyring, FAMILY).secret)

    def make(self, subjects: Iterable[Subject]) -> dict[Subject, bytes]:
        """The key of each subject, made if there is none; a page at a time, in few questions."""
        found: dict[Subject, bytes] = {}
        rest = iter(dict.fromkeys(subjects))
        while page := {self._digest(one): one for one in islice(rest, _PAGE)}:
            with self.database.transaction() as session:
                salts = _salts(session, page)
                missing = [digest for digest in page if digest not in salts]
                if missing:
                    moment = database.now(session)
                    rows = [
                        {"digest": each, "salt": os.urandom(_SALT_BYTES), "made_at": moment}
                        for each in missing
                    ]
                    _insert(session, rows)
                    salts = _salts(session, page)
            found.update({one: self._key(one, salts[digest]) for digest, one in page.items()})
        return found

    def find(self, session: Session, subject: Subject) -> tuple[int, bytes]:
        """The number of a subject's key, and the key.

        Raises `SubjectUnknown` if there is none: nothing of theirs was changed, or it is destroyed.
        """
        query = select(SubjectKey).where(SubjectKey.digest == self._digest(subject))
        row = session.scalars(query).one_or_none()
        if row is None or row.salt is None:
            raise SubjectUnknown(
                f"There is no key for this {subject[0]}: Tend has changed no record of theirs, or "
                "the key was destroyed; `tend audit list --action subject_key_destroyed` says when."
            )
        return row.id, self._key(subject, row.salt)

    def destroy(self, subject: Subject, person: Person) -> int:
        """Nobody reads the subject's lines from now on; returns the number of the key.

        Raises `SubjectHeld` while a legal hold on the subject stands.
        """
        with self.database.transaction() as session:
            number, _ = self.find(session, subject)
            _must_not_be_held(session, subject)
            row = session.get_one(SubjectKey, number, with_for_update=True)
            row.digest = row.salt = None
            row.destroyed_at = database.now(session)
            detail = {"reason": person.reason, "key": number, "subject": subject[0]}
            entries.append(session, "subject_key_destroyed", person.actor, detail=detail)
            return number

    def _digest(self, subject: Subject) -> bytes:
        return hmac.digest(self.secret, b"digest\0" + _bytes(subject), "sha256")

    def _key(self, subject: Subject, salt: bytes) -> bytes:
        return hmac.digest(self.secret, b"key\0" + salt + _bytes(subject), "sha256")


def _must_not_be_held(session: Session, subject: Subject) -> None:
    name, value = subject
    standing = select(Hold.case).where(
        Hold.subject == name, Hold.value == value, Hold.released_at.is_(None)
    )
    case = session.scalar(standing.limit(1))
    if case is not None:
        raise SubjectHeld(
            f"The legal hold {case} protects this {name}, and with it the evidence of what became "
            "of its records; release the hold first."
        )


def _salts(session: Session, digests: Mapping[bytes, Subject]) -> dict[bytes, bytes]:
    rows = session.execute(
        select(SubjectKey.digest, SubjectKey.salt).where(SubjectKey.digest.in_(list(digests)))
    )
    return {digest: salt for digest, salt in rows if digest is not None and salt is not None}


def _insert(session: Session, rows: list[dict[str, object]]) -> None:
    """Those that nobody else has inserted meanwhile."""
    dialect = sqlite if session.get_bind().dialect.name == "sqlite" else postgresql
    session.execute(dialect.insert(SubjectKey).on_conflict_do_nothing(), rows)


def _bytes(subject: Subject) -> bytes:
    name, value = subject
    return f"{name}\0{value}".encode()
