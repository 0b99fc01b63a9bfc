"""What a policy of `pos_sync` may say."""

import re
from typing import Annotated, Literal

from pydantic import AfterValidator, Field

from policies.durations import Duration
from policies.models import TaskOptions

_PLACE = re.compile(r"[a-z0-9.-]{1,253}:[1-9][0-9]{0,4}")


def _place(text: str) -> str:
    if not _PLACE.fullmatch(text):
        raise ValueError(f"'{text}' is no host and port such as 10.0.0.7:8443")
    return text


class PosOptions(TaskOptions):
    """Which stores, and how they are read."""

    mode: Literal["scheduled", "recovery"] = "scheduled"
    """Those that are well, at their time; or those that are not, until they are."""
    stores_in: Annotated[tuple[Literal["mongo", "sql"], ...], Field(min_length=1)]
    """The applications whose `stores` are read."""
    whole_every: Duration = Field(default="24h", validate_default=True)
    """How often a whole catalogue is read: only that shows what is missing."""
    sales_back: Duration = Field(default="60d", validate_default=True)
    """How far back the first look at a store's orders goes."""
    answer_within: Duration = Field(default="30s", validate_default=True)
    """The longest that one request may take, from the name's look-up to the last byte."""
    private_hosts: tuple[Annotated[str, AfterValidator(_place)], ...] = ()
    """Each a `host:port` in a shop's own network that may be asked, and without TLS."""

    @property
    def targets(self) -> tuple[Literal["mongo", "sql"], ...]:
        return self.stores_in

    @property
    def written(self) -> tuple[str, ...]:
        ours = ("products", "stores")
        return (*ours, "salesData") if "mongo" in self.stores_in else ours

    @property
    def made(self) -> tuple[str, ...]:
        return ("tend_pos_passes", "tend_pos_records", "tend_pos_quarantine")
