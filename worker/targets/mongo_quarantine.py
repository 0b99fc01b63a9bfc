"""The quarantine of a MongoDB collection: another collection of the same database."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import bson
from bson.raw_bson import RawBSONDocument
from pymongo.client_session import ClientSession
from pymongo.collection import Collection

from worker.targets.base import RecordOutcome
from worker.targets.mongo_select import BY_KEY
from worker.targets.quarantine import SUFFIX
from worker.targets.record_key import identity

MAX_DOCUMENT = 16 * 1024 * 1024


@dataclass(frozen=True)
class MongoQuarantine:
    """The copies that one transaction puts beside a collection, or takes back."""

    records: Collection[RawBSONDocument]
    session: ClientSession | None

    @property
    def _copies(self) -> Collection[RawBSONDocument]:
        return self.records.database[self.records.name + SUFFIX]

    def add(self, moved: Sequence[tuple[RawBSONDocument, dict[str, Any]]]) -> None:
        if moved:
            copies = [copy(before, label) for before, label in moved]
            self._copies.insert_many(copies, session=self.session)

    def conflicts(self, records: Sequence[RecordOutcome]) -> dict[bytes, str]:
        """Why a copy cannot be taken back, by the record's key: it is gone, or was changed."""
        labels = {record.label["_id"]: record for record in records if record.label}
        if not labels:
            return {}
        found = {
            each["_id"]: each.raw
            for each in self._copies.find(
                {"_id": {"$in": list(labels)}}, session=self.session, hint=BY_KEY
            )
        }
        codes = {}
        for name, record in labels.items():
            if name not in found:
                codes[identity(record.key)] = "gone"
            elif found[name] != copy(record.before, record.label or {}).raw:
                codes[identity(record.key)] = "changed_since"
        return codes

    def remove(self, records: Sequence[RecordOutcome]) -> int:
        """Remove the copies of these records; returns how many there were."""
        names = [record.label["_id"] for record in records if record.label]
        if not names:
            return 0
        return self._copies.delete_many(
            {"_id": {"$in": names}}, session=self.session, hint=BY_KEY
        ).deleted_count


def copy(before: RawBSONDocument, label: Mapping[str, Any]) -> RawBSONDocument:
    return RawBSONDocument(bson.encode({**label, "record": before}))


def fits(before: RawBSONDocument, label: Mapping[str, Any]) -> bool:
    """Whether the copy is a document that MongoDB takes."""
    return len(before.raw) + len(bson.encode(label)) + 64 <= MAX_DOCUMENT
