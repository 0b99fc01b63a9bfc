"""Which account a name in an event means, looked up without trusting what the name holds."""

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from bson import ObjectId

from jobs.base import Record
from jobs.login_lockout.events import user_key
from jobs.login_lockout.options import Accounts
from jobs.task import Documents

AT_ONCE = 500


class Account(NamedTuple):
    """An account's key in the target."""

    key: Any


def find_accounts(
    documents: Documents, where: Accounts, names: Iterable[str]
) -> dict[str, Account]:
    """By the key of a user, their account; names that no account bears are left out."""
    wanted = sorted(set(names))
    found: dict[str, Account] = {}
    for start in range(0, len(wanted), AT_ONCE):
        page = wanted[start : start + AT_ONCE]
        for record in documents.find(where.collection, _filter(where, page), _fields(where)):
            for name in _names(where, record):
                found.setdefault(name, Account(record["_id"]))
    return found


def _filter(where: Accounts, names: Sequence[str]) -> dict[str, Any]:
    spellings = sorted({spelling for name in names for spelling in (name, name.casefold())})
    keys = [key for name in names for key in keys_of(name)]
    by_name = [{field: {"$in": spellings}} for field in where.names]
    return {"$or": [{"_id": {"$in": keys}}, *by_name]}


def _fields(where: Accounts) -> list[str]:
    return ["_id", *where.names]


def keys_of(name: str) -> Iterator[Any]:
    """What the text of an account's `_id` may be the text of."""
    yield name
    if ObjectId.is_valid(name):
        yield ObjectId(name)
    if name.isascii() and name.isdigit() and len(name) <= 18:
        yield int(name)


def _names(where: Accounts, record: Record) -> Iterator[str]:
    for value in (record["_id"], *(record.get(field) for field in where.names)):
        key = user_key(str(value)) if value is not None else None
        if key is not None:
            yield key
