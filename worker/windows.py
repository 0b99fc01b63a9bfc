"""Change windows: outside of its policy's window a run plans, and changes nothing."""

from datetime import datetime
from zoneinfo import ZoneInfo

from policies.windows import Window


def in_words(window: Window, opens: datetime) -> str:
    """When it opens, in UTC and as the zone's clocks will show it."""
    local = opens.astimezone(ZoneInfo(window.zone))
    return (
        f"its window, which opens at {opens:%Y-%m-%d %H:%M:%S} UTC "
        f"({local:%Y-%m-%d %H:%M} {window.zone})"
    )
