"""The contract of probes: kinds of looks that compare with limits and never change anything.

The engine says when a probe looks and ends it in time, counts looks in a row, keeps a short
history and raises alerts. A kind only looks; the handles it gets cannot write.
"""

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, NamedTuple, Protocol

from redis import Redis
from sqlalchemy import Connection

from policies.errors import TendError
from policies.probes import Probe, ProbeOptions


class NotTold(TendError):
    """The server does not know this question, or does not answer it to this user."""

    code = "not_told"


class Reading(NamedTuple):
    """The answer to one check of one subject."""

    subject: str
    check: str
    ill: bool | None
    """None where it could not be known this time: what was known before stands."""
    says: str = ""
    """What was seen, in a clause without a value of any record."""
    value: float | None = None
    """In the unit of the check; kept and plotted."""
    cause: str | None = None
    """What several subjects can be ill of together, such as a store; else the subject itself."""


@dataclass(frozen=True)
class Look:
    """What one look saw."""

    readings: Sequence[Reading]
    remarks: Sequence[str] = ()
    """What could not be asked at all, and why: said once, and skipped."""
    is_whole: bool = True
    """Whether everything was looked at: what has no reading then is well."""
    unknown: Collection[str] = ()
    """Checks that could not be asked at all: of these, what was known before stands."""


class MongoStatus(Protocol):
    """How a MongoDB is, by the user who reads for plans; each question ends in time.

    Raises `NotTold` where the server does not answer, and `TargetUnreachable`.
    """

    @property
    def database(self) -> str:
        """The name of the application's."""

    def command(self, name: str, argument: Any = 1, **more: Any) -> Mapping[str, Any]:
        """One of the commands that only tell, on `admin`; `collStats` on the application's."""

    def operations(self, pipeline: Sequence[Mapping[str, Any]]) -> Sequence[Mapping[str, Any]]:
        """The operations at work, through a pipeline that leaves their values on the server."""

    def aggregate(
        self, database: str, collection: str, pipeline: Sequence[Mapping[str, Any]]
    ) -> Sequence[Mapping[str, Any]]:
        """Read a collection of the server's own, such as `system.profile`."""

    def ends(self, database: str, collection: str, field: str) -> tuple[Any, Any] | None:
        """This field of the first and the last document, as they lie there; None without any."""


class ProbeContext(Protocol):
    """What a look gets; what is not set on this site raises `TargetMissing` or `SettingError`."""

    @property
    def now(self) -> datetime: ...

    @property
    def host(self) -> str:
        """The name of the host that looks."""

    @property
    def spread(self) -> float:
        """Seconds over which many questions are spread, so that none is a burst."""

    @property
    def mongo(self) -> MongoStatus: ...

    def sql(self) -> AbstractContextManager[Connection]:
        """A transaction that cannot write."""

    @property
    def redis(self) -> "Redis": ...

    def skew(self) -> float | None:
        """Seconds by which this host is ahead of the control database; None if that is a file."""

    def before(self, subject: str, check: str) -> tuple[datetime, float] | None:
        """The oldest value that is kept, and its time."""


class ProbeKind(Protocol):
    """How to look at one kind of thing."""

    name: ClassVar[str]
    Options: ClassVar[type[ProbeOptions]]
    each_host: ClassVar[bool]
    """Whether every host looks for itself, rather than one worker for all."""

    def look(self, ctx: ProbeContext, probe: Probe) -> Look:
        """Look once, within `probe.seconds`; whatever it raises means that nothing answers."""
