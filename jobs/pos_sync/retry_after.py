"""How long to wait when a provider says "not now": `Retry-After` in every form there is."""

import math
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime

MISSING = 60.0
"""Nothing, or nothing legible, was said: a minute."""
SHORTEST = 1.0
LONGEST = 6 * 3600.0
"""A wait that passes the next sync is of no use: the store shows as degraded before."""


def seconds(value: str | None, now: datetime) -> float:
    """How long to wait: an integer, a float (Shopify), or an HTTP date; never under a second."""
    said = _seconds(value.strip(), now) if value else None
    if said is None:
        return MISSING
    return min(max(said, SHORTEST), LONGEST)


def _seconds(value: str, now: datetime) -> float | None:
    try:
        number = float(value)
    except ValueError:
        return _until(value, now)
    return None if math.isnan(number) else number


def _until(value: str, now: datetime) -> float | None:
    try:
        moment = parsedate_to_datetime(value)
    except ValueError:
        return None
    if moment.tzinfo is None:  # "-0000": the zone is unknown, HTTP dates are UTC
        moment = moment.replace(tzinfo=UTC)
    return (moment - now).total_seconds()
