"""When an account last gave a sign of life, and whether that is certain."""

from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from bson import ObjectId

from jobs.base import Delete, Fail, Keep, Newest, Record, Related, Relation
from jobs.retention_cascade.options import Inactive
from policies.selectors import FieldName

UNREADABLE = "activity_unreadable"
NO_SIGN = Newest(None, is_certain=True)


class Verdict(NamedTuple):
    """What to do with an account, and the moment that it was judged by."""

    change: Delete | Fail | Keep
    seen: datetime | None


def judge(
    key: Any,
    record: Record,
    inactive: Inactive,
    elsewhere: Newest,
    as_of: datetime,
    *,
    begun: bool = False,
) -> Verdict:
    """A date that cannot be read may be a recent one, so nothing is decided without it.

    When it is `begun`, the signs that the account had are deleted: they were too old. So it is
    not asked for its creation again, which counts only where there are none.
    """
    cutoff = inactive.age.before(as_of)
    sign = latest((own_sign(record, inactive.own), elsewhere))
    if sign == NO_SIGN and not begun:
        sign = creation(record, inactive, key)
        if sign == NO_SIGN:
            return Verdict(Keep(), None)
    if is_alive(sign, cutoff):
        return Verdict(Keep(), sign.moment)
    return Verdict(Delete() if sign.is_certain else Fail(UNREADABLE), sign.moment)


def own_sign(record: Record, fields: Sequence[FieldName]) -> Newest:
    """The newest of the account's own dates; what is neither a date nor empty is not certain."""
    return latest(_read(record, name) for name in fields)


def signs_elsewhere(
    related: Related, relations: Sequence[Relation], keys: Sequence[Any], cutoff: datetime
) -> list[Newest]:
    """The newest sign in all these collections; who lives by one is asked for in no other."""
    found = [NO_SIGN] * len(keys)
    for relation in relations:
        asked = [place for place, sign in enumerate(found) if not is_alive(sign, cutoff)]
        newest = related.newest(relation, [keys[place] for place in asked])
        for place, sign in zip(asked, newest, strict=True):
            found[place] = latest((found[place], sign))
    return found


def latest(signs: Iterable[Newest]) -> Newest:
    """The newest of several; it is certain if each of them is."""
    newest = NO_SIGN
    for sign in signs:
        moments = [moment for moment in (newest.moment, sign.moment) if moment is not None]
        newest = Newest(max(moments, default=None), newest.is_certain and sign.is_certain)
    return newest


def is_alive(sign: Newest, cutoff: datetime) -> bool:
    return sign.moment is not None and sign.moment >= cutoff


def creation(record: Record, inactive: Inactive, key: Any) -> Newest:
    """When the account was created: its own date, else its ObjectId's time, else nobody knows."""
    written = _read(record, inactive.created)
    if written == NO_SIGN and isinstance(key, ObjectId):
        return Newest(key.generation_time, is_certain=True)
    return written


def _read(record: Record, name: FieldName) -> Newest:
    value: Any = record
    for part in name.split("."):
        value = value.get(part) if hasattr(value, "get") else None
    if isinstance(value, datetime):
        return Newest(value, is_certain=True)
    return Newest(None, is_certain=value is None)
