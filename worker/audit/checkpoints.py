"""Checkpoints: what the log held at a moment, as a note that its key signed (C2SP form)."""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Self

from sqlalchemy import select
from sqlalchemy.orm import Session

from worker.audit.entries import stamp
from worker.audit.signing import Signer
from worker.audit.streaming import streamed
from worker.tables import Checkpoint

_TIME = "%Y-%m-%dT%H:%M:%S.%fZ"
_ROOT_BYTES = 32


@dataclass(frozen=True)
class Head:
    """What a checkpoint says: the log's name, how many entries, their root, and when."""

    origin: str
    size: int
    root: bytes
    at: datetime

    @property
    def text(self) -> str:
        """The lines that are signed: origin, size, root in base64, and the time."""
        root = b64encode(self.root).decode()
        return f"{self.origin}\n{self.size}\n{root}\nat {stamp(self.at)}\n"

    @classmethod
    def parsed(cls, text: str) -> Self | None:
        """The same from its text; None if that is no such text."""
        try:
            origin, size, encoded, at, rest = text.split("\n")
            root = b64decode(encoded, validate=True)
            moment = datetime.strptime(at, f"at {_TIME}").replace(tzinfo=UTC)
            head = cls(origin, int(size), root, moment)
        except ValueError:
            return None
        return head if head.text == text and not rest and len(root) == _ROOT_BYTES else None

    @property
    def generation(self) -> int:
        return generation(self.origin)


def generation(origin: str) -> int:
    """The number in a log's name: one more after each `tend audit reanchor`; 0 if it has none."""
    number = origin.rpartition("/")[2]
    return int(number) if number.isdecimal() else 0


def signed(head: Head, signer: Signer) -> Checkpoint:
    """The row that holds a checkpoint."""
    note = signer.sign(head.text, head.origin)
    return Checkpoint(origin=head.origin, size=head.size, root=head.root, at=head.at, note=note)


def head_of(row: Checkpoint) -> Head:
    """What a checkpoint's columns say."""
    return Head(row.origin, row.size, row.root, row.at)


def opened(note: str, signer: Signer) -> Head | None:
    """What a note says, if one of the signer's keys signed it under the name it gives itself."""
    origin = note.partition("\n")[0]
    text = signer.opened(note, origin)
    return None if text is None else Head.parsed(text)


def latest(session: Session, *, at_least: int = 0) -> Checkpoint | None:
    """The newest checkpoint over at least so many entries; None if there is none yet."""
    newest = select(Checkpoint).where(Checkpoint.size >= at_least)
    return session.scalars(newest.order_by(Checkpoint.id.desc()).limit(1)).first()


def since(session: Session, size: int) -> Iterator[Checkpoint]:
    """The checkpoints over at least so many entries, in the order in which they were made."""
    every = select(Checkpoint).where(Checkpoint.size >= size).order_by(Checkpoint.id)
    for (row,) in streamed(session, every):
        yield row
