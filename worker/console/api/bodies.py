"""What requests say, beside their path: the options of the commands, under the same names."""

from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, StringConstraints

from worker import operations
from worker.database import LARGEST_ID
from worker.identity import Actor
from worker.listing import Became
from worker.operations import Person
from worker.states import State

Document = dict[str, Any]
Line = Annotated[str, StringConstraints(max_length=1_000, pattern=r"^[^\x00]*$")]
MOST_LISTED = 200


class Asked(BaseModel):
    """Nothing is taken for granted: a key that nobody knows is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class Change(Asked):
    """Every change says why."""

    reason: Line
    on_behalf_of: Line | None = None

    def by(self, actor: Actor) -> Person:
        return operations.person(actor, self.reason, self.on_behalf_of)


class NewRun(Change):
    where: Line | None = None
    limit: Annotated[int, Field(ge=1, le=LARGEST_ID)] | None = None


class Override(Change):
    guard: Line


class Undo(Change):
    only: Annotated[tuple[Line, ...], Field(max_length=1_000)] = ()


class Reveal(Change):
    outcome: Became | None = None


class BrakePull(Change):
    policy: Line | None = None
    everything: bool = False


class HoldAdd(Change):
    subject: Annotated[tuple[Line, ...], Field(min_length=1, max_length=100)]
    anticipatory: bool = False


class HoldRelease(Change):
    subject: Line | None = None


class Verify(Asked):
    full: bool = False


class Receipt(Asked):
    subject: Line


class RunList(Asked):
    policy: Line | None = None
    state: State | None = None
    limit: Annotated[int, Field(ge=1, le=MOST_LISTED)] = 20
    before: Line | None = None


class Entries(Asked):
    run: Line | None = None
    policy: Line | None = None
    actor: Line | None = None
    action: Line | None = None
    target: Line | None = None
    outcome: State | None = None
    since: Line | None = None
    until: Line | None = None


class EntryList(Entries):
    limit: Annotated[int, Field(ge=1, le=MOST_LISTED)] = 50
    before: Annotated[int, Field(ge=1, le=LARGEST_ID)] | None = None


class Export(Entries):
    csv: bool = False


class Bundle(Asked):
    since: Annotated[Line, Field(alias="from")]
    until: Annotated[Line, Field(alias="to")]
    policy: Line | None = None
    sample: Annotated[int, Field(ge=1, le=100_000)] | None = None
    seed: Line | None = None
