"""What a store's orders say was sold, line by line, and the walk over them."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Protocol

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field

from jobs.pos_sync.credentials import Credentials
from jobs.pos_sync.passes import Keeper, Pass
from jobs.pos_sync.products import Drifted, each_read
from jobs.pos_sync.transport import Http

Money = Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=4)]


class Sale(BaseModel):
    """One line of an order, as it is now: one that was cancelled or taken back has quantity 0."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    line: Annotated[str, Field(min_length=1, max_length=200)]
    order: Annotated[str, Field(min_length=1, max_length=200)]
    product: str | None
    """The `externalId` of its product, if it still has one."""
    name: str
    sku: str | None = None
    quantity: Annotated[int, Field(ge=0)]
    revenue: Money
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")]
    sold_at: AwareDatetime
    moment: AwareDatetime
    """When the provider last changed the order."""


@dataclass(frozen=True)
class SalesPage:
    """The lines of a page of orders; without a `cursor` it is the last."""

    sales: tuple[Sale, ...]
    drifted: tuple[Drifted, ...]
    cursor: str | None

    @property
    def moments(self) -> Sequence[datetime]:
        return [one.moment for one in self.sales]


def sales_of(
    records: Sequence[Any], read: Callable[[Any], Iterable[Sale]], cursor: str | None
) -> SalesPage:
    """Read every order; one that cannot be read is set aside, and the others go on."""
    found, drifted = each_read(records, read)
    return SalesPage(tuple(found), drifted, cursor or None)


class Orders(Protocol):
    """A provider's orders; it raises `SyncFailed` for whatever is no answer."""

    def page(self, http: Http, held: Credentials, cursor: str | None, since: datetime) -> SalesPage:
        """A page of the orders that changed `since`."""


class Sales(Keeper[SalesPage], Protocol):
    """Where sales are written. Each call is one transaction of the target database."""

    def has_owner(self, store: str) -> bool:
        """Whether the application says whose sales they are; nobody's are not read."""

    def standing(self, store: str) -> Pass | None:
        """The last pass over this store's orders, finished or not."""

    def begin(self, store: str, begun: Pass) -> Pass:
        """Put a new pass in the place of one that is at its end, or of none."""

    def finish(self, store: str, at: Pass) -> None:
        """End the pass; no sale goes because it was not seen."""
