"""What entries say, as models: the body of every entry, and the details that are checked."""

from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from worker.tables import OUTCOMES


class Said(BaseModel):
    """Part of an entry: exactly these fields, of exactly these types."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)


class Body(Said):
    """The canonical text of every entry. `docs/audit.md` lists the same fields."""

    v: Literal[1]
    writer: str
    sequence: int
    at: str
    action: str
    actor: str
    actor_proof: str
    actor_token: str | None
    on_behalf_of: str | None
    run: int | None
    policy: str | None
    policy_version: str | None
    revision: str | None
    environment: str | None
    trigger: str | None
    detail: dict[str, Any]


class Intent(Said):
    """The detail of `chunk_intent`: an attempt begins."""

    direction: Literal["apply", "undo"]
    chunk: int
    attempt: int
    items: int


class Archived(Said):
    name: str
    sha256: str


class Counts(Said):
    changed: int
    changed_since: int
    gone: int
    failed: int
    held: int
    uncertain: int

    def as_tuple(self) -> tuple[int, ...]:
        return tuple(getattr(self, name) for name in OUTCOMES)


class Outcome(Said):
    """The detail of `chunk_outcome`: the attempt ended, and so much its fence had committed."""

    direction: Literal["apply", "undo"]
    chunk: int
    attempt: int
    result: Literal["done", "released", "lost", "failed", "stopped"]
    cursor: int
    counts: Counts
    cascade: dict[str, int]
    archives: list[Archived]


class Remaining(Said):
    """What the selector still found after a run, and what explains it."""

    total: int
    at_least: bool
    held: int
    failed: int
    changed_since: int
    not_planned: int | None


class Succeeded(Said):
    """The detail of `run_succeeded`."""

    before: str = Field(alias="from")
    counts: Counts
    cascade: dict[str, int]
    remaining: Remaining | None
    """None of a task, which asks no selector again."""
    digest: str
