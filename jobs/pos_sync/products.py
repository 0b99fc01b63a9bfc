"""What a store's catalogue says, whichever provider keeps it, and records that say it wrongly."""

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, NamedTuple, TypeVar

from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, ValidationError

from jobs.pos_sync.failures import Kind, SyncFailed

QUARANTINED = 10_000
Price = Annotated[Decimal, Field(ge=0, max_digits=14, decimal_places=4)]


class Product(BaseModel):
    """One thing that can be sold; `moment` says when the provider last changed it."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    external_id: Annotated[str, Field(min_length=1, max_length=200)]
    name: Annotated[str, Field(min_length=1, max_length=1000)]
    part_of: str | None = None
    """What it is a variation of, where the provider deletes that as a whole."""
    sku: str | None = None
    price: Price | None = None
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = None
    stock: int | None = None
    """May be negative: the policy `negative-stock` mends that, a sync does not hide it."""
    moment: AwareDatetime


class Gone(NamedTuple):
    """The provider says that it was deleted, and when."""

    external_id: str
    moment: datetime


class Drifted(NamedTuple):
    """A record of another shape than documented: its number on the page, and where it differs."""

    number: int
    differs: str
    record: str
    """As it came, cut off after `QUARANTINED` characters."""


@dataclass(frozen=True)
class Page:
    """A page of a catalogue; without a `cursor` it is the last."""

    products: tuple[Product, ...]
    gone: tuple[Gone, ...]
    drifted: tuple[Drifted, ...]
    cursor: str | None

    @property
    def moments(self) -> Sequence[datetime]:
        """When each record was changed."""
        return [*(one.moment for one in self.products), *(one.moment for one in self.gone)]


class Payload(BaseModel):
    """A provider's own shape: what it adds is none of our business, what it lacks is drift."""

    model_config = ConfigDict(frozen=True, extra="ignore")


Shape = TypeVar("Shape", bound=Payload)
Found = TypeVar("Found")


def shaped(shape: type[Shape], document: Any, where: str) -> Shape:
    """The document in its shape; a document of another shape is a failure, never an empty page."""
    try:
        return shape.model_validate(document)
    except ValidationError as error:
        raise SyncFailed(Kind.UNEXPECTED_SHAPE, where, differences(error)) from None


def page_of(
    records: Sequence[Any], read: Callable[[Any], Iterable[Product | Gone]], cursor: str | None
) -> Page:
    """Read every record; one that cannot be read is set aside, and the others go on."""
    found, drifted = each_read(records, read)
    products = tuple(one for one in found if isinstance(one, Product))
    gone = tuple(one for one in found if isinstance(one, Gone))
    return Page(products, gone, drifted, cursor or None)


def each_read(
    records: Sequence[Any], read: Callable[[Any], Iterable[Found]]
) -> tuple[list[Found], tuple[Drifted, ...]]:
    """What was found in the records that could be read, and those that could not."""
    found: list[Found] = []
    drifted: list[Drifted] = []
    for number, record in enumerate(records):
        try:
            found.extend(tuple(read(record)))
        except ValidationError as error:
            text = json.dumps(record, default=str)[:QUARANTINED]
            drifted.append(Drifted(number, differences(error), text))
    return found, tuple(drifted)


def differences(error: ValidationError) -> str:
    """Where a document differs and how; none of its values."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    return ", ".join(
        f"{'.'.join(str(part) for part in one['loc'])}: {one['type']}" for one in found[:3]
    )
