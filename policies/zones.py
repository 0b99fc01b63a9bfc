"""Time zones, by the names of the IANA database."""

from typing import Annotated
from zoneinfo import available_timezones

from pydantic import AfterValidator


def known_zone(name: str) -> str:
    if name not in available_timezones():
        raise ValueError(f"'{name}' is not a time zone of the IANA database, such as Europe/Berlin")
    return name


ZoneName = Annotated[str, AfterValidator(known_zone)]
