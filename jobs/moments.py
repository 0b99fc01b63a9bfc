"""Moments as a target keeps them."""

from datetime import UTC, datetime


def milliseconds(moment: datetime) -> datetime:
    """In UTC, without the digits that MongoDB cuts off: what it gives back is equal to this."""
    at = moment.astimezone(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)
