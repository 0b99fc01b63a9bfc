"""What a database says of its indexes, of whatever kind it is, and making one more."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from worker.errors import TargetError


class IndexNotBuilt(TargetError):
    """The database gave up building an index."""

    code = "index_not_built"


class RecordsRepeated(IndexNotBuilt):
    """Records agree in what no two may agree in."""

    code = "records_repeated"

    def __init__(self, where: str, fields: Sequence[str], find: str) -> None:
        super().__init__(
            f"{where} has records that agree in {' and '.join(fields)}, so an index cannot keep "
            f"them unique; merge or delete all but one of each. They are found by: {find}"
        )


@dataclass(frozen=True)
class Index:
    """An index as it stands; one that is being built has no size yet."""

    name: str
    fields: tuple[str, ...]
    size: int | None
    is_whole: bool
    """False for one that leaves records out, or that the planner may not use."""
    is_building: bool
    is_unique: bool = False
    is_invalid: bool = False
    """What a build that failed left: it serves no question, and each write keeps it up."""

    def serves(self, fields: Sequence[str], *, unique: bool = False) -> bool:
        """A unique one is of just these fields, and may leave out records that lack one."""
        if unique:
            return self.is_unique and not self.is_invalid and set(self.fields) == set(fields)
        return self.is_whole and self.fields[: len(fields)] == tuple(fields)


class Indexes(Protocol):
    """One database, for its indexes alone; used as a context manager."""

    goes_on: bool
    """Whether the server goes on with a build whose client is gone."""

    def __enter__(self) -> "Indexes": ...

    def __exit__(self, *_: object) -> None: ...

    def existing(self) -> dict[str, list[Index]]:
        """Every index by collection, of those that this user may look at."""

    def estimate(self, collection: str, fields: Sequence[str]) -> int:
        """About how many bytes the index will take, by a sample of what it will hold."""

    def create(self, collection: str, fields: Sequence[str], *, unique: bool = False) -> str:
        """Build the index, which may take hours, and return its name.

        A unique one leaves out records that lack one of the fields. Raises `RecordsRepeated` if
        two that have them agree, and `IndexNotBuilt` if the server gave up; nothing of the index
        is then left, or the error says what.
        """

    def drop_invalid(self, collection: str, name: str) -> None:
        """Remove what a failed build left."""

    def progress(self, collection: str) -> str | None:
        """How far a build is, of how much; None where the server does not tell this user."""
