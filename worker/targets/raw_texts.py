"""The texts of a few fields of a BSON document, without decoding the others.

An archived record is asked for no more than whose it is, and decoding all of it takes three times
as long.
"""

from collections.abc import Collection

_FIXED = {0x01: 8, 0x07: 12, 0x08: 1, 0x09: 8, 0x0A: 0, 0x10: 4, 0x11: 8, 0x12: 8, 0x13: 16}
"""Bytes of a value, by its type."""
_COUNTED = {0x02: 4, 0x03: 0, 0x04: 0, 0x05: 5}
"""Bytes beside those that the value's first four count: text, document, array, binary."""
_OBJECT_ID, _TEXT, _NULL, _INT32, _INT64 = 0x07, 0x02, 0x0A, 0x10, 0x12


def texts_of(raw: bytes, names: Collection[bytes]) -> dict[bytes, str | None] | None:
    """By name what `str` makes of the value; None for null, and no name that is not there.

    None at all if one of the values, or something before it, is of a type that this cannot read.
    """
    texts: dict[bytes, str | None] = {}
    at, end = 4, len(raw) - 1
    while at < end and len(texts) < len(names):
        kind = raw[at]
        value = raw.index(0, at) + 1
        name = raw[at + 1 : value - 1]
        if kind in _FIXED:
            at = value + _FIXED[kind]
        elif kind in _COUNTED:
            at = value + _COUNTED[kind] + int.from_bytes(raw[value : value + 4], "little")
        else:
            return None
        if name not in names:
            continue
        if kind == _OBJECT_ID:
            texts[name] = raw[value:at].hex()
        elif kind == _TEXT:
            texts[name] = raw[value + 4 : at - 1].decode()
        elif kind in {_INT32, _INT64}:
            texts[name] = str(int.from_bytes(raw[value:at], "little", signed=True))
        elif kind == _NULL:
            texts[name] = None
        else:
            return None
    return texts
