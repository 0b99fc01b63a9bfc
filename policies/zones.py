"""Time zones, by the names of the IANA database."""

from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator


def known_zone(name: str) -> str:
    if name not in _known():
        raise ValueError(f"'{name}' is not a time zone of the IANA database, such as Europe/Berlin")
    return name


ZoneName = Annotated[str, AfterValidator(known_zone)]


@cache
def _known() -> frozenset[str]:
    """Asking reads the whole directory of time zones, and a policy is read before every batch."""
    return frozenset(available_timezones())
