"""The models of a policy file. `docs/policies.md` documents every key."""

import hashlib
import json
import re
from datetime import UTC, datetime
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

from apscheduler.triggers.cron import CronTrigger
from pydantic import AfterValidator, Field, SerializeAsAny, StrictInt, model_validator

from policies.durations import Duration
from policies.selectors import CollectionName, FieldName, LocalSelector, Selector, Vocabulary
from policies.throttle import Throttle
from policies.windows import ChangeWindow
from policies.zones import ZoneName

# The trigger reads `mon-fri/2` as `mon-fri` and `lastx` as `last`, without a word.
_CRON_PART = re.compile(r"\*(/\d+)?|\d+(-\d+)?(/\d+)?|[a-z]{3}(-[a-z]{3})?|last")


def _cron(line: str) -> str:
    fields = line.split()
    if len(fields) != 5:
        raise ValueError("a cron line has five fields: minute hour day month weekday")
    if any(character.isdigit() for character in fields[4]):
        raise ValueError(
            "write weekdays as mon to sun: programs disagree on whether 0 is Sunday or Monday"
        )
    if fields[2] != "*" and fields[4] != "*":
        raise ValueError(
            "restrict the day or the weekday, not both: programs disagree on whether both must fit"
        )
    for part in ",".join(fields).split(","):
        if not _CRON_PART.fullmatch(part):
            raise ValueError(f"'{part}' is no part of a cron line")
    try:
        trigger = CronTrigger.from_crontab(line, timezone=UTC)
    except ValueError as error:
        raise ValueError(f"this cron line cannot be: {error}") from error
    if trigger.get_next_fire_time(None, datetime(2000, 1, 1, tzinfo=UTC)) is None:
        raise ValueError("this cron line never fires")
    return line


class Schedule(Vocabulary):
    """When a policy fires: a cron line in a time zone, or an interval counted from the epoch."""

    cron: Annotated[str, AfterValidator(_cron)] | None = None
    every: Duration | None = None
    timezone: ZoneName = "UTC"
    jitter: Duration | None = None

    @model_validator(mode="after")
    def _one_of_both(self) -> "Schedule":
        if (self.cron is None) == (self.every is None):
            raise ValueError("a schedule has either cron or every")
        if self.every is not None and self.every.amount == 0:
            raise ValueError("every must be longer than 0")
        return self

    @property
    def zone(self) -> ZoneInfo:
        return ZoneInfo(self.timezone)


class Guards(Vocabulary):
    """Limits on the whole plan, checked again where the write happens; 0 means none at all."""

    max_records: Annotated[StrictInt, Field(ge=0)]
    max_percent: Annotated[float, Field(strict=True, ge=0, le=100)]


class Batch(Vocabulary):
    """One target transaction: at most so many records and bytes, then a pause."""

    records: Annotated[StrictInt, Field(ge=1, le=5_000)] = 500
    bytes: Annotated[StrictInt, Field(ge=1_000, le=64_000_000)] = 16_000_000
    pause: Duration | None = None


class PolicyOptions(Vocabulary):
    """What a policy of one job may say; each job brings its own."""


OWN_COLLECTIONS = ("runs", "doorbells", "alerts", "notices")
"""Of the control database, what a policy may remove."""


class Warning(Vocabulary):  # noqa: A001 - the policy's word for it, never used as the builtin here
    """A remark for the person who reads the plan: how many planned records look like this."""

    when: LocalSelector
    say: str


class RecordOptions(PolicyOptions):
    """What every job that changes records of one collection needs to know."""

    target: Literal["mongo", "sql", "control"] = "mongo"
    collection: CollectionName
    unless: LocalSelector | None = None
    dated_by: FieldName | None = None
    warnings: tuple[Warning, ...] = ()

    @model_validator(mode="after")
    def _spares_the_control_database(self) -> "RecordOptions":
        if self.target == "control":
            if not isinstance(self, SelectOptions):
                raise ValueError("Tend's own data is for retention_purge alone")
            if self.collection not in OWN_COLLECTIONS:
                names = ", ".join(OWN_COLLECTIONS)
                raise ValueError(f"of Tend's own data only {names} may go; entries never do")
        return self

    @property
    def quarantines(self) -> bool:
        """Whether it may move records to the collection's quarantine."""
        return False

    @property
    def written(self) -> tuple[str, ...]:
        """Every collection that the policy changes, its own first."""
        return (self.collection,)


class TaskOptions(PolicyOptions):
    """What every policy says whose job performs tasks rather than changing planned records."""

    @property
    def targets(self) -> tuple[Literal["mongo", "sql"], ...]:
        """The kinds of database that it works on."""
        return ()

    @property
    def written(self) -> tuple[str, ...]:
        """The collections of its target that it writes to."""
        return ()

    @property
    def read(self) -> tuple[str, ...]:
        """Those that it only looks at."""
        return ()

    @property
    def made(self) -> tuple[str, ...]:
        """Those of MongoDB that it makes for itself, and keeps its own records in."""
        return ()


class SelectOptions(RecordOptions):
    """A record job that is told its selector outright."""

    select: Selector


class Policy(Vocabulary):
    """One policy: which job, which records, when, how much at most, who must approve."""

    name: Annotated[str, Field(pattern=r"^[a-z][a-z0-9-]{1,63}$")]
    job: str
    description: str
    options: SerializeAsAny[PolicyOptions]
    guards: Guards
    schedule: Schedule | None = None
    catchup: Literal["latest", "skip", "all"] = "latest"
    window: ChangeWindow | None = None
    pace: Literal["gentle", "normal", "full"] = "normal"
    batch: Batch = Batch()
    throttle: Throttle = Throttle()
    chunk: Annotated[StrictInt, Field(ge=1, le=50_000)] = 20_000
    writers: Annotated[StrictInt, Field(ge=1, le=32)] = 2
    approval: Literal["anomaly", "required", "none"] = "anomaly"
    undo: Duration | Literal["none"]
    plan_expires: Duration = Field(default="24h", validate_default=True)

    @model_validator(mode="after")
    def _can_be_undone(self) -> "Policy":
        options = self.options
        is_own = isinstance(options, RecordOptions) and options.target == "control"
        if is_own and self.undo != "none":
            raise ValueError("Tend's own data goes for good, its entries stay: write undo: none")
        if isinstance(options, TaskOptions) and self.undo != "none":
            raise ValueError("this job keeps no archive to undo from: write undo: none")
        return self

    @model_validator(mode="after")
    def _full_pace_never_rests(self) -> "Policy":
        if self.pace == "full" and self.batch.pause is not None:
            raise ValueError("pace: full does not rest; take batch.pause away, or choose normal")
        return self

    @property
    def text(self) -> str:
        """The effective policy as canonical JSON; runs are frozen with it."""
        return json.dumps(self.model_dump(mode="json"), sort_keys=True, separators=(",", ":"))

    @property
    def collection(self) -> str | None:
        """Target and collection of the records that this policy plans."""
        return next(iter(self.collections), None)

    @property
    def collections(self) -> tuple[str, ...]:
        """Target and collection of every record that it may change, the planned ones first."""
        options = self.options
        if not isinstance(options, RecordOptions):
            return ()
        return tuple(f"{options.target}/{name}" for name in options.written)

    @property
    def version(self) -> str:
        """SHA-256 of `text`: two policies with one version say the same."""
        return hashlib.sha256(self.text.encode()).hexdigest()
