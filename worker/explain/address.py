"""`mongo/salesData/<id>`: which record a person means."""

import re
from collections.abc import Collection
from dataclasses import dataclass
from typing import Any

from bson import ObjectId

from policies.loader import did_you_mean
from worker.errors import UsageError

_OBJECT_ID = re.compile(r"[0-9a-fA-F]{24}")
_INTEGER = re.compile(r"-?[0-9]{1,18}")


@dataclass(frozen=True)
class Address:
    """One record by target, collection and an id that may be read in several ways."""

    target: str
    collection: str
    id: str

    @property
    def place(self) -> str:
        """Target and collection, as a run names them."""
        return f"{self.target}/{self.collection}"

    @property
    def readings(self) -> list[Any]:
        """Every key that the id may stand for; the parts of a composite one have commas between."""
        return readings(self.id)


def parse(text: str, known: Collection[str]) -> Address:
    """Raises `UsageError`, with the place that was probably meant, unless it is one of `known`."""
    parts = text.split("/", 2)
    if len(parts) != 3 or not all(parts):
        raise UsageError(
            f"'{text}' is no address of a record; write target, collection and id, such as "
            "mongo/salesData/65a1b2c3d4e5f60718293a4b."
        )
    address = Address(*parts)
    if address.place not in known:
        raise UsageError(
            f"no policy works on '{address.place}', and no run ever did; "
            f"{did_you_mean(address.place, known)}"
        )
    return address


def kind_of(key: Any) -> str:
    """A key's type in a word, since `5` and `"5"` may be two records."""
    match key:
        case ObjectId():
            return "ObjectId"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case str():
            return "text"
        case list():
            return "composite"
        case _:
            return type(key).__name__


def readings(text: str) -> list[Any]:
    """Every key that a typed one may stand for, the likeliest first."""
    found: list[Any] = [text]
    if _INTEGER.fullmatch(text):
        found.insert(0, int(text))
    if _OBJECT_ID.fullmatch(text):
        found.insert(0, ObjectId(text))
    if "," in text:
        found.append([readings(part)[0] for part in text.split(",")])
    return found
