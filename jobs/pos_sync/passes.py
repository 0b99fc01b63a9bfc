"""A pass over one store's catalogue: how far it is, what a page changes, what may be deleted.

A pass and what is known of each record lie in the target database, beside the products, so that
a page and its cursor are one transaction there.
"""

import hashlib
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, NamedTuple, Protocol, TypeVar

from jobs.pos_sync.failures import Kind, SyncFailed
from jobs.pos_sync.products import Gone, Page, Product
from policies.errors import TendError

DRIFT_PERCENT = 5
SHRINK_PERCENT = 20
MOST_PAGES = 5_000
MOST_RESTARTS = 2
MISSED_TWICE = 2
"""A record can slip from one page to another while a pass goes on. So one that a complete pass
did not see goes when the next one has not seen it either."""


class Paged(Protocol):
    """A page of whatever is walked over."""

    @property
    def moments(self) -> Sequence[datetime]: ...

    @property
    def drifted(self) -> Sequence[object]: ...

    @property
    def cursor(self) -> str | None: ...


PageOf_contra = TypeVar("PageOf_contra", contravariant=True)


class Keeper(Protocol[PageOf_contra]):
    """Keeps what a walk has read, and how far it is."""

    def write(self, store: str, at: "Pass", page: PageOf_contra) -> "Pass":
        """Write a page and its cursor; raises `Overtaken` if another worker was faster."""

    def restart(self, store: str, at: "Pass") -> "Pass":
        """Forget the cursor."""


@dataclass(frozen=True)
class Pass:
    """One walk over a catalogue: the whole of it, or what changed `since`.

    Moments are text in UTC, all of one width: they sort as what they mean on every database.
    """

    number: int
    since: str | None
    cursor: str | None
    begun_at: str
    newest: str | None = None
    """The newest moment of a record so far: where the next pass begins."""
    pages: int = 0
    records: int = 0
    drifted: int = 0
    restarts: int = 0
    exhausted: bool = False
    """Its last page is written; what is gone is not deleted yet."""
    done: bool = False
    complete_at: str | None = None
    """When the last pass that reached its end began: so old is the data."""
    whole_at: str | None = None
    """The same of the last one over the whole catalogue."""

    @property
    def is_whole(self) -> bool:
        return self.since is None

    @property
    def shows_what_is_missing(self) -> bool:
        """Whether what it did not see is missing: a record that could not be read is not."""
        return self.is_whole and self.drifted == 0

    def after(self, page: Paged) -> "Pass":
        """As it stands when this page is written; raises if the pages never end."""
        moments = [moment_text(one) for one in page.moments]
        further = replace(
            self,
            cursor=page.cursor,
            exhausted=page.cursor is None,
            newest=max([*moments, *([self.newest] if self.newest else [])], default=None),
            pages=self.pages + 1,
            records=self.records + len(moments) + len(page.drifted),
            drifted=self.drifted + len(page.drifted),
        )
        if page.cursor is not None and (page.cursor == self.cursor or further.pages >= MOST_PAGES):
            raise SyncFailed(Kind.CURSOR_ENDLESS, "catalogue", f"after {further.pages} pages")
        return further

    def check_drift(self) -> None:
        """Raise if too many records could not be read: the data is not as of this pass then."""
        if self.drifted * 100 > DRIFT_PERCENT * self.records:
            raise SyncFailed(Kind.DRIFT, "catalogue", f"{self.drifted} of {self.records} records")

    def again(self) -> "Pass":
        """From its beginning, after its cursor expired; raises if that happens again and again."""
        if self.restarts >= MOST_RESTARTS:
            raise SyncFailed(Kind.CURSOR_ENDLESS, "catalogue", "its cursors expire on the way")
        return replace(self, cursor=None, pages=0, records=0, drifted=0, restarts=self.restarts + 1)

    def ended(self) -> "Pass":
        whole_at = self.begun_at if self.is_whole else self.whole_at
        return replace(self, done=True, cursor=None, complete_at=self.begun_at, whole_at=whole_at)


class Known(NamedTuple):
    """What is known of a record: the newest moment that was seen, and whether it was deleted."""

    moment: str
    gone: bool
    part_of: str | None


class Step(NamedTuple):
    """What one page changes: products to write, and what is known of each record afterwards."""

    write: tuple[Product, ...]
    known: Mapping[str, Known]


class Finished(NamedTuple):
    """What the end of a pass deleted, and what it kept since something else refers to it."""

    deleted: int
    kept: int


class Vanishing(NamedTuple):
    """The products that a finished pass would delete, of how many."""

    external_ids: tuple[str, ...]
    total: int

    @property
    def digest(self) -> str:
        """What a person approves: these products and no others."""
        return hashlib.sha256("\n".join(sorted(self.external_ids)).encode()).hexdigest()[:12]

    def check(self, approved: str | None) -> None:
        """Raise `SHRUNK` if too many would go, unless a person approved just these."""
        share = len(self.external_ids) * 100 > SHRINK_PERCENT * self.total
        if share and approved != self.digest:
            counts = f"{len(self.external_ids)} of {self.total} products"
            raise SyncFailed(Kind.SHRUNK, "catalogue", f"{counts}, diff {self.digest}")


class Overtaken(TendError):
    """Another worker writes the same pass; this one stops, and nothing is lost."""

    code = "pos_pass_overtaken"


class Catalog(Keeper[Page], Protocol):
    """The products of one target. Each call is one transaction of the target database."""

    def prepare(self) -> None:
        """Make what Tend keeps beside the products, unless it is there."""

    def standing(self, store: str) -> Pass | None:
        """The last pass over this store, finished or not."""

    def begin(self, store: str, begun: Pass) -> Pass:
        """Put a new pass in the place of one that is at its end, or of none."""

    def vanishing(self, store: str, at: Pass) -> Vanishing:
        """What the end of this pass would delete."""

    def finish(self, store: str, at: Pass, approved: str | None) -> Finished:
        """Delete what is gone, and end the pass."""

    def tell(self, store: str, status: str, data_as_of: str | None) -> None:
        """Write into the application's own row how the store is and how old its data is."""


def step(page: Page, known: Mapping[str, Known]) -> Step:
    """What a page changes, record by record: an older version never overwrites a newer one."""
    now: dict[str, Known] = {}
    write: dict[str, Product] = {}
    for product in page.products:
        before = now.get(product.external_id) or known.get(product.external_id)
        moment = moment_text(product.moment)
        if before is not None and before.moment > moment:
            now.setdefault(product.external_id, before)
            continue
        now[product.external_id] = Known(moment, gone=False, part_of=product.part_of)
        write[product.external_id] = product
    for gone in page.gone:
        for external_id, before in _meant(gone, {**known, **now}):
            moment = moment_text(gone.moment)
            if before.moment <= moment:
                now[external_id] = Known(moment, gone=True, part_of=before.part_of)
                write.pop(external_id, None)
            else:
                now.setdefault(external_id, before)
    return Step(tuple(write.values()), now)


def named(page: Page) -> Collection[str]:
    """Every id on the page: of records, and of what they are part of."""
    return {one.external_id for one in page.products} | {one.external_id for one in page.gone}


def moment_text(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"


def moment_of(text: str) -> datetime:
    return datetime.strptime(text, "%Y-%m-%dT%H:%M:%S.%fZ").replace(tzinfo=UTC)


def _meant(gone: Gone, known: Mapping[str, Known]) -> list[tuple[str, Known]]:
    """The records that a deletion means: the one of its id, and those that are part of it."""
    parts = [
        (external_id, one)
        for external_id, one in known.items()
        if gone.external_id in (external_id, one.part_of)
    ]
    return parts or [(gone.external_id, Known(moment_text(gone.moment), gone=True, part_of=None))]


def columns(at: Pass) -> dict[str, Any]:
    """A pass as a row."""
    return dict(vars(at))
