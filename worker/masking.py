"""Previews without people in them: addresses and session ids keep a short hint, no more."""

import ipaddress
import math
import re
from collections.abc import Mapping
from datetime import date
from decimal import Decimal
from typing import Any
from uuid import UUID

from bson import Decimal128, ObjectId

EMAIL = re.compile(
    r"[^\s@<>()\[\],;:\"]{1,64}@(?:[\w-]{1,63}\.){1,126}[^\W\d_][\w-]{1,62}", re.UNICODE
)
_IPV4 = re.compile(r"(?<![\d.])(\d{1,3})\.\d{1,3}\.\d{1,3}\.\d{1,3}(?!\d|\.\d)")
_IPV6 = re.compile(r"(?<![\w:])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")

# Names are compared in small letters and without separators: `user_id` and `userId` are one.
_SECRET = re.compile(r"passw|passphrase|secret|credential|authorization|cookie|apikey|privatekey")
_ID = re.compile(r"^(_?id|sid|uid)$|token|(session|user|account|customer|owner|member|device)id$")
_PERSON = re.compile(
    r"mail|phone|mobile|address|street|postcode|postalcode|zipcode|useragent|birth"
    r"|^(user|login|first|last|middle|full|display|given|family|sur)name$|^(client|remote)?ip$"
)


def mask(field: str, value: Any) -> Any:  # noqa: PLR0911 - one line for each kind of value
    """`value` as a preview may show it, in types that JSON knows."""
    match value:
        case None | bool():
            return value
        case int():
            return int(value)
        case float():
            return value if math.isfinite(value) else str(value)
        case str() | UUID():
            return _mask_text(field, str(value))
        case date():
            return value.isoformat()
        case Decimal() | Decimal128() | ObjectId():
            return str(value)
        case bytes() | bytearray():
            return f"<{len(value)} bytes>"
        case Mapping():
            return f"<document of {len(value)} fields>"
        case list() | tuple() | set():
            return f"<list of {len(value)}>"
        case _:
            return f"<{type(value).__name__}>"


def contains_email(text: str) -> bool:
    """Whether an e-mail address stands anywhere in `text`."""
    return EMAIL.search(text) is not None


def _mask_text(field: str, text: str) -> str:
    name = _plain_name(field)
    if _SECRET.search(name):
        return "•••"
    shown = EMAIL.sub(lambda found: f"{found[0][0]}•••@•••", text)
    shown = _IPV4.sub(r"\1.•••", shown)
    shown = _IPV6.sub(_mask_ipv6, shown)
    if shown != text:
        return shown
    if _ID.search(name):
        return f"{text[: min(4, len(text) // 3)]}•••"
    return f"{text[:1]}•••" if _PERSON.search(name) else text


def _plain_name(field: str) -> str:
    """The last part of a path that is no list index, as the patterns above want it."""
    parts = [part for part in field.split(".") if not part.isdigit()]
    last = parts[-1] if parts else field
    return last.lower() if last.startswith("_") else re.sub(r"[_-]", "", last).lower()


def _mask_ipv6(found: re.Match[str]) -> str:
    try:
        ipaddress.IPv6Address(found[0])
    except ValueError:
        return found[0]
    return f"{found[0].split(':')[0]}:•••"
