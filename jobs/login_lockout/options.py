"""What a policy of `login_lockout` and of `lockout_release` may say."""

import re
from pathlib import PurePath
from typing import Annotated, Literal

from pydantic import AfterValidator, Field, StrictInt, model_validator

from jobs.login_lockout.addresses import NetworkText
from policies.durations import Duration
from policies.models import TaskOptions
from policies.selectors import CollectionName, Vocabulary
from policies.zones import ZoneName

PlainField = Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")]
Count = Annotated[StrictInt, Field(ge=1, le=10_000)]
REASON = "brute_force_attack"


def _pattern(text: str) -> str:
    try:
        compiled = re.compile(text)
    except re.error as error:
        raise ValueError(f"is no regular expression: {error}") from error
    missing = {"address", "at"} - set(compiled.groupindex)
    unknown = set(compiled.groupindex) - {"address", "at", "user", "count", "outcome"}
    if missing or unknown:
        raise ValueError(
            "names the groups address and at, and may name user, outcome and count; "
            f"{', '.join(sorted(missing or unknown))} is {'missing' if missing else 'none of them'}"
        )
    return text


def _files(text: str) -> str:
    path = PurePath(text)
    if ".." in path.parts or any(letter in str(path.parent) for letter in "*?["):
        raise ValueError("names one folder, and * only in the name of the files there")
    return text


class CollectionSource(Vocabulary):
    """A collection of login events."""

    collection: CollectionName = "loginevents"
    at: PlainField = "timestamp"
    users: tuple[PlainField, ...] = ("userId", "username")
    """The first of these that an event has says who tried."""
    address: PlainField = "ipAddress"
    outcome: PlainField = "outcome"
    failed: tuple[str, ...] = ("failure", "failed", "failed_login")
    succeeded: tuple[str, ...] = ("success", "succeeded", "successful_login")


class FileSource(Vocabulary):
    """Log files that are followed; a line looks as one of `lines` says."""

    files: Annotated[str, AfterValidator(_files)]
    """A path, in which * stands for any part of a name."""
    format: Literal["lines", "sshd", "json"] = "lines"
    lines: tuple[Annotated[str, AfterValidator(_pattern)], ...] = ()
    mark: str = "failed_login"
    """Lines without it are about something else; one with it that fits no pattern is set aside."""
    timezone: ZoneName = "UTC"
    optional: bool = False
    """Whether it may be that no file is named so."""

    @model_validator(mode="after")
    def _has_lines(self) -> "FileSource":
        if (self.format == "lines") != bool(self.lines):
            raise ValueError("format: lines takes lines, and no other format does")
        return self


class Threshold(Vocabulary):
    """So many failures within so long."""

    failures: Count = 5
    within: Duration = Field(default="10m", validate_default=True)


class Spraying(Vocabulary):
    """So many distinct users from one address within so long."""

    users: Count = 10
    within: Duration = Field(default="10m", validate_default=True)


class Distributed(Vocabulary):
    """So many distinct addresses at one user within so long."""

    addresses: Count = 10
    within: Duration = Field(default="10m", validate_default=True)
    step_up: Duration = Field(default="1h", validate_default=True)
    """For so long a password alone lets nobody into the account; with 0m there is only an alert."""


class Shared(Vocabulary):
    """So many distinct users logged in from one address within so long: it is no attacker's own."""

    users: Count = 20
    within: Duration = Field(default="7d", validate_default=True)


class Attack(Vocabulary):
    """So many accounts locked by one address within so long: the locks are what it is after."""

    victims: Count = 5
    within: Duration = Field(default="1h", validate_default=True)


class Accounts(Vocabulary):
    """Where accounts are, and by which fields a name finds one."""

    collection: CollectionName = "users"
    names: tuple[PlainField, ...] = ("email",)


class LockoutOptions(TaskOptions):
    """Sources, thresholds, and who is never touched."""

    sources: Annotated[tuple[CollectionSource | FileSource, ...], Field(min_length=1)]
    threshold: Threshold = Threshold()
    ladder: tuple[Duration, ...] = Field(default=("30m",), min_length=1, validate_default=True)
    """How long the first lock of an account lasts, the second, and every one after the last."""
    remember: Duration = Field(default="7d", validate_default=True)
    """How long an earlier lock counts for the next step of the ladder."""
    block: Duration = Field(default="24h", validate_default=True)
    spraying: Spraying = Spraying()
    distributed: Distributed = Distributed()
    shared: Shared = Shared()
    attack: Attack = Attack()
    never_block: tuple[NetworkText, ...] = ()
    """Trusted proxies and own networks; private ones are never blocked in any case."""
    break_glass: tuple[str, ...] = ()
    """Accounts that are alerted of and never locked."""
    locks_per_hour: Count = 20
    skew: Duration = Field(default="2m", validate_default=True)
    """How far in the future an event may be: clocks differ."""
    accounts: Accounts = Accounts()
    blacklist: CollectionName = "ipblacklists"

    @property
    def targets(self) -> tuple[Literal["mongo", "sql"], ...]:
        return ("mongo",)

    @property
    def written(self) -> tuple[str, ...]:
        return (self.accounts.collection, self.blacklist)

    @property
    def read(self) -> tuple[str, ...]:
        return tuple(
            source.collection for source in self.sources if isinstance(source, CollectionSource)
        )


class ReleaseOptions(TaskOptions):
    """Where locks and blocks are that end by themselves."""

    accounts: CollectionName = "users"
    blacklist: CollectionName = "ipblacklists"
    reasons: tuple[str, ...] = (REASON,)
    """Of the blacklist, those entries that are Tend's to remove once they have expired."""
    evidence: Duration = Field(default="365d", validate_default=True)
    """How long a decision and its evidence are kept."""

    @property
    def targets(self) -> tuple[Literal["mongo", "sql"], ...]:
        return ("mongo",)

    @property
    def written(self) -> tuple[str, ...]:
        return (self.accounts, self.blacklist)
